import assert from "node:assert/strict";
import {
  askTakeover,
  ControlServer,
  MountKeeper,
  ServiceManager,
  TakeoverError,
} from "../../../../lib/host/handover/mod.ts";
import {
  closeFd,
  endProcess,
  O,
  openFd,
  OsError,
  processStart,
  readSome,
  spawnHolder,
  takeDescriptor,
  writeSome,
} from "../../../../lib/host/os/mod.ts";
import { makePipe } from "../../../../lib/host/os/descriptors.ts";
import { pause, run } from "../../../support/host/mod.ts";

/** A pipe: its reader learns when nobody holds the writing end any more. */
function pipe(): { read: number; write: number } {
  const { readEnd, writeEnd } = makePipe({ reads: "at once" });
  return { read: readEnd, write: writeEnd };
}

/** `open` while somebody holds the writing end, else `ended`. */
const stateOf = (read: number) =>
  readSome(read, new Uint8Array(64), 1) === 0 ? "ended" : "open";

const linksOf = async (pid: number) =>
  (await run("ls", ["-l", `/proc/${pid}/fd`])).stdout.trim().split("\n")
    .slice(1).map((line) => line.replace(/^.* (\d+) -> /, "$1 -> "));

async function inFolder(test: (folder: string) => Promise<void>) {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-handover-" });
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("a holder holds what it is given and nothing else, and gives it back as the same open file", async () => {
  const { read, write } = pipe();
  const other = openFd("/dev/null", O.RDONLY);
  let pid = 0;
  spawnHolder([write], (id) => pid = id);
  closeFd(write);
  await pause(200);
  assert.equal(stateOf(read), "open");
  const links = await linksOf(pid);
  assert.equal(links.length, 4, links.join());
  assert.match(links[3]!, /^3 -> pipe:/);
  const taken = takeDescriptor(pid, 3);
  assert.equal(writeSome(taken, new Uint8Array(64), 5), 5);
  closeFd(taken);
  const into = new Uint8Array(64);
  assert.equal(readSome(read, into, 64), 5);
  assert.throws(() => takeDescriptor(pid, 9), OsError);
  endProcess(pid);
  assert.equal(processStart(pid), null);
  assert.equal(stateOf(read), "ended");
  for (const fd of [read, other]) closeFd(fd);
});

Deno.test("a holder whose ID could not be written down ends: none is left over", async () => {
  const { read, write } = pipe();
  assert.throws(
    () =>
      spawnHolder([write], () => {
        throw new Error("disk full");
      }),
    /disk full/,
  );
  closeFd(write);
  await pause(100);
  assert.equal(stateOf(read), "ended");
  closeFd(read);
});

Deno.test("where nothing was kept there is nothing to take, and what was torn is lost with a reason", async () => {
  await inFolder(async (folder) => {
    const statePath = `${folder}/handover.json`;
    const keeper = new MountKeeper({ statePath });
    assert.deepEqual(keeper.take(["n"]), { kind: "fresh" });
    for (
      const [text, why] of [
        ["{", /no JSON/],
        ['{"schema": 2}', /schema 2, this release knows 1/],
        ['{"schema": 1}', /handover\.json/],
      ] as const
    ) {
      await Deno.writeTextFile(statePath, text);
      const result = keeper.take(["n"]);
      assert.equal(result.kind, "lost");
      assert.match(result.kind === "lost" ? result.why : "", why);
    }
    keeper.release();
    assert.deepEqual(keeper.take(["n"]), { kind: "fresh" });
  });
});

Deno.test("a state of another run of the machine is no state", async () => {
  await inFolder(async (folder) => {
    const statePath = `${folder}/handover.json`;
    await Deno.writeTextFile(
      statePath,
      JSON.stringify({
        schema: 1,
        bootId: "another",
        mounts: [],
        holder: { pid: Deno.pid, started: processStart(Deno.pid) },
      }),
    );
    const keeper = new MountKeeper({ statePath });
    assert.deepEqual(keeper.take(["n"]), { kind: "fresh" });
    keeper.release(); // and ends nobody
  });
});

Deno.test("a successor and its predecessor agree step by step", async () => {
  await inFolder(async (folder) => {
    const path = `${folder}/control.sock`;
    assert.equal(await askTakeover(path), null);
    using server = ControlServer.listen(path, { status: () => null });
    const successor = await askTakeover(path);
    assert.equal(successor?.pid, Deno.pid);
    const steps: string[] = [];
    const quieting = successor.quiet().then(() => steps.push("quiet"));
    const takeover = await server.asked;
    steps.push("books closed");
    const outcome = takeover.quiet();
    await quieting;
    assert.deepEqual(steps, ["books closed", "quiet"]);
    successor[Symbol.dispose]();
    assert.equal(await outcome, "gone");
  });
});

Deno.test("a predecessor that speaks another protocol is left alone", async () => {
  await inFolder(async (folder) => {
    const path = `${folder}/control.sock`;
    const listener = Deno.listen({ transport: "unix", path });
    const serving = (async () => {
      const connection = await listener.accept();
      await connection.write(
        new TextEncoder().encode('{"say":"willing","protocol":2,"pid":5}\n'),
      );
      return connection;
    })();
    await assert.rejects(
      askTakeover(path),
      (error) =>
        error instanceof TakeoverError && /protocol 2/.test(error.message),
    );
    (await serving).close();
    listener.close();
  });
});

Deno.test("a successor goes on when its predecessor dies on the way", async () => {
  await inFolder(async (folder) => {
    const path = `${folder}/control.sock`;
    const listener = Deno.listen({ transport: "unix", path });
    const dying = (async () => {
      const connection = await listener.accept();
      await connection.write(
        new TextEncoder().encode(
          '{"say":"willing","protocol":1,"pid":999999}\n',
        ),
      );
      await connection.read(new Uint8Array(4096)); // ask
      await connection.read(new Uint8Array(4096)); // begin
      connection.close();
    })();
    using predecessor = await askTakeover(path);
    await predecessor!.quiet();
    await predecessor!.end();
    await dying;
    listener.close();
  });
});

Deno.test("descriptors of a service manager that are meant for another process are not touched", () => {
  const manager = new ServiceManager({
    listenPid: String(Deno.pid + 1),
    listenFds: "3",
  });
  assert.deepEqual(manager.given, []);
  assert.equal(manager.storesDescriptors, false);
});
