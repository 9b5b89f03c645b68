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
  ProcessWatch,
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

/** Has a file name a holder as the daemon's state does. */
function nameIn(statePath: string, pid: number, indent = 1): void {
  const state = { holder: { pid, started: "1" }, checksum: "" };
  const text = JSON.stringify(state, null, indent);
  Deno.writeTextFileSync(`${statePath}.new`, text);
  Deno.renameSync(`${statePath}.new`, statePath);
}

/** A holder that is named in its state. */
function holder(fds: number[], statePath: string): number {
  let pid = 0;
  spawnHolder(fds, statePath, (id) => nameIn(statePath, pid = id));
  return pid;
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
  const statePath = await Deno.makeTempFile({ prefix: "soci-deno-handover-" });
  const pid = holder([write], statePath);
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
  await Deno.remove(statePath);
});

const HOLDERS_ENDS = ["gone", "another", "a device", "folder gone"] as const;

Deno.test("a holder ends by itself when its state is gone or names another, and stays while it is rewritten", async () => {
  await inFolder(async (parent) => {
    await Promise.all(HOLDERS_ENDS.map(async (end) => {
      const folder = `${parent}/${end}`;
      const statePath = `${folder}/state with 'blanks'`;
      await Deno.mkdir(folder);
      const { read, write } = pipe();
      const pid = holder([write], statePath);
      closeFd(write);
      await pause(2500);
      nameIn(statePath, pid, 0); // by rename, as the daemon does it
      await pause(2500);
      assert.equal(stateOf(read), "open");
      if (end === "gone") await Deno.remove(statePath);
      else if (end === "another") nameIn(statePath, pid + 1);
      else if (end === "folder gone") {
        await Deno.remove(folder, { recursive: true });
      } else {
        // Reading it would never end.
        await Deno.remove(statePath);
        await Deno.symlink("/dev/zero", statePath);
      }
      for (let tries = 0; stateOf(read) === "open"; tries++) {
        assert.ok(tries < 100, `${pid} lives on: ${end}`);
        await pause(50);
      }
      assert.equal(processStart(pid), null);
      endProcess(pid); // takes its exit
      closeFd(read);
    }));
  });
});

Deno.test("a killed holder lets go at once of what it holds", async () => {
  const statePath = await Deno.makeTempFile({ prefix: "soci-deno-handover-" });
  const { read, write } = pipe();
  const pid = holder([write], statePath);
  closeFd(write);
  await pause(300); // it sleeps, in a process of its own
  assert.equal(stateOf(read), "open");
  closeFd(takeDescriptor(pid, 3)); // it has it where it is said to be, all the while
  endProcess(pid);
  await pause(50);
  assert.equal(stateOf(read), "ended");
  closeFd(read);
  await Deno.remove(statePath);
});

Deno.test("the end of a process is told at once, also when it is no child, and waiting can be stopped", async () => {
  const started = await run("sh", ["-c", "sleep 60 >/dev/null 2>&1 & echo $!"]);
  const pid = Number(started.stdout);
  const watch = ProcessWatch.of(pid);
  await using other = ProcessWatch.of(pid);
  assert.equal(
    await Promise.race([watch.over, pause(300).then(() => "lives")]),
    "lives",
  );
  await other.stop();
  assert.equal(await other.over, "stopped");
  const killed = performance.now();
  Deno.kill(pid, "SIGKILL");
  assert.equal(await watch.over, "ended");
  assert.ok(performance.now() - killed < 1000);
  await watch.stop();
});

Deno.test("a holder whose ID could not be written down ends: none is left over", async () => {
  const { read, write } = pipe();
  assert.throws(
    () =>
      spawnHolder([write], "/dev/null", () => {
        throw new Error("disk full");
      }),
    /disk full/,
  );
  closeFd(write);
  await pause(100);
  assert.equal(stateOf(read), "ended");
  closeFd(read);
});

/** Lets a process start a holder that is to be named at `statePath`, and kills it in the middle of that. */
async function killedWhileItNames(
  statePath: string,
  when: "before" | "after",
): Promise<{ read: number; pid: number }> {
  const { read, write } = pipe();
  const { pid: us } = Deno;
  const modules = new URL("../../../../lib/host/os/mod.ts", import.meta.url);
  const starter = await new Deno.Command(Deno.execPath(), {
    args: [
      "eval",
      "--no-check",
      `
      import { spawnHolder, takeDescriptor } from "${modules}";
      const fd = takeDescriptor(${us}, ${write});
      spawnHolder([fd], "${statePath}", (pid) => {
        Deno.writeTextFileSync("${statePath}.pid", String(pid));
        if (${when === "after"}) {
          Deno.writeTextFileSync("${statePath}", '"pid": ' + pid + ",");
        }
        Deno.kill(Deno.pid, "SIGKILL");
        while (true);
      });`,
    ],
    cwd: new URL("../../../../", import.meta.url),
  }).output();
  assert.equal(
    starter.signal,
    "SIGKILL",
    new TextDecoder().decode(starter.stderr),
  );
  closeFd(write);
  return { read, pid: Number(await Deno.readTextFile(`${statePath}.pid`)) };
}

Deno.test("whoever starts a holder is killed: it ends where its ID was not written, and holds on where it was", async () => {
  await inFolder(async (folder) => {
    for (const when of ["before", "after"] as const) {
      for (
        const text of when === "before" ? [null, '{\n"pid": 1,\n}'] : [null]
      ) {
        const statePath = `${folder}/${when}`;
        if (text !== null) await Deno.writeTextFile(statePath, text);
        const { read, pid } = await killedWhileItNames(statePath, when);
        await pause(300);
        assert.equal(stateOf(read), when === "before" ? "ended" : "open");
        if (when === "after") endProcess(pid);
        closeFd(read);
      }
    }
  });
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

Deno.test("a state with a flipped byte is torn; one that a release without checksums wrote is understood", async () => {
  await inFolder(async (folder) => {
    const statePath = `${folder}/handover.json`;
    const keeper = new MountKeeper({ statePath });
    const { read, write } = pipe();
    keeper.keep([{
      name: "n",
      mountpoint: `${folder}/n`,
      fd: write,
      negotiated: { minor: 45, flags: 12345, flags2: 0 },
    }]);
    const text = await Deno.readTextFile(statePath);
    const why = (written: string) => {
      Deno.writeTextFileSync(statePath, written);
      const result = keeper.take(["n"]);
      return result.kind === "lost" ? result.why : result.kind;
    };
    assert.match(why(text.replace("12345", "12344")), /torn: its checksum/);
    assert.match(why(text.slice(0, -9)), /no JSON/);
    assert.match(why(""), /no JSON/);
    assert.match(why(text), /is not mounted/);
    const { checksum, ...old } = JSON.parse(text);
    assert.match(checksum, /^sha256:/);
    assert.match(why(JSON.stringify(old)), /is not mounted/);
    Deno.writeTextFileSync(statePath, text);
    keeper.release();
    await keeper[Symbol.asyncDispose]();
    closeFd(write);
    await pause(50);
    assert.equal(stateOf(read), "ended");
    closeFd(read);
  });
});

Deno.test("a keeper replaces a holder that is killed, and stops when it is told to", async () => {
  await inFolder(async (folder) => {
    const statePath = `${folder}/handover.json`;
    const { read, write } = pipe();
    const mount = {
      name: "n",
      mountpoint: `${folder}/n`,
      fd: write,
      negotiated: { minor: 45, flags: 0, flags2: 0 },
    };
    const holderPid = () =>
      JSON.parse(Deno.readTextFileSync(statePath)).holder.pid as number;
    const keeper = new MountKeeper({ statePath });
    keeper.keep([mount]);
    for (let times = 0; times < 2; times++) {
      const before = holderPid();
      Deno.kill(before, "SIGKILL");
      for (let tries = 0; holderPid() === before; tries++) {
        assert.ok(tries < 100);
        await pause(50);
      }
    }
    await keeper[Symbol.asyncDispose]();
    const last = holderPid();
    Deno.kill(last, "SIGKILL");
    await pause(1500);
    assert.equal(holderPid(), last);
    keeper.release();
    closeFd(write);
    await pause(50);
    assert.equal(stateOf(read), "ended");
    closeFd(read);
  });
});

Deno.test("a successor and its predecessor agree step by step", async () => {
  await inFolder(async (folder) => {
    const path = `${folder}/control.sock`;
    assert.equal(await askTakeover(path), null);
    using server = ControlServer.listen(path, {
      status: () => null,
      record: () => assert.fail("nobody asked for a recording"),
    });
    const successor = await askTakeover(path);
    assert.equal(successor?.pid, Deno.pid);
    const steps: string[] = [];
    const quieting = successor.quiet();
    quieting.then(() => steps.push("quiet"));
    const takeover = await server.asked;
    steps.push("books closed");
    const outcome = takeover.quiet({ secret: "x".repeat(2 ** 19) });
    assert.deepEqual(await quieting, { secret: "x".repeat(2 ** 19) });
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

/** A service manager that hears so many messages and prints them, a line each. */
const LISTENER = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print("ready", flush=True)
s.settimeout(30)
for _ in range(int(sys.argv[2])):
    print(s.recv(4096).decode(), flush=True)
`;

Deno.test("the watchdog of the service manager hears this process while it is watched, and only where it asks this one", async () => {
  await inFolder(async (folder) => {
    const notifySocket = `${folder}/notify.sock`;
    const child = new Deno.Command("python3", {
      args: ["-c", LISTENER, notifySocket, "3"],
      stdout: "piped",
    }).spawn();
    const lines = child.stdout.pipeThrough(new TextDecoderStream());
    const reader = lines.getReader();
    let heard = (await reader.read()).value ?? "";
    const other = new ServiceManager({
      ...{ notifySocket, watchdogUs: "1000" },
      watchdogPid: String(Deno.pid + 1),
    });
    using _other = other.watch();
    const manager = new ServiceManager({ notifySocket, watchdogUs: "20000" });
    using watching = manager.watch();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      heard += value;
    }
    watching[Symbol.dispose]();
    assert.equal(heard, `ready\n${"WATCHDOG=1\n".repeat(3)}`);
    assert.equal((await child.status).code, 0);
  });
});
