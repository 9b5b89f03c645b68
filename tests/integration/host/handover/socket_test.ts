/** The listening socket, kept beyond the process that made it. */
import assert from "node:assert/strict";
import { createServer } from "node:net";
import { MountKeeper } from "../../../../lib/host/handover/mod.ts";
import {
  closeFd,
  duplicate,
  endProcess,
  listenUnix,
  O,
  openFd,
  processStart,
} from "../../../../lib/host/os/mod.ts";

Deno.test("the socket is kept with and without mounts: who dials it meanwhile waits for the next process, which takes it", async () => {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-handover-" });
  const statePath = `${folder}/handover.json`;
  const address = `${folder}/s.sock`;
  const fd0 = openFd("/dev/null", O.RDONLY); // stands for a mount's descriptor
  const mount = {
    name: "n",
    mountpoint: `${folder}/n`,
    fd: fd0,
    negotiated: { minor: 45, flags: 0, flags2: 0 },
  };
  let fd = listenUnix(address, 8);
  for (const mounts of [[mount], []]) {
    const keeper = new MountKeeper({ statePath });
    keeper.listensOn({ address, fd });
    if (mounts.length > 0) keeper.keep(mounts);
    else {
      keeper.release();
      keeper.keepSocket();
    }
    assert.ok(keeper.keepsSocket);
    await keeper[Symbol.asyncDispose]();
    closeFd(fd); // this process is gone
    using waiting = await Deno.connect({ transport: "unix", path: address });

    const next = new MountKeeper({ statePath });
    assert.equal(next.takeSocket(`${folder}/other.sock`), null);
    assert.equal(
      next.take(["n"]).kind,
      mounts.length > 0 ? "lost" : "fresh", // nothing is mounted there
    );
    fd = next.takeSocket(address) ?? assert.fail("it was not kept");
    const server = createServer((socket) =>
      socket.end("answered", () => socket.destroy())
    );
    await new Promise<void>((listens) =>
      server.listen({ fd: duplicate(fd) }, listens)
    );
    const said = new Uint8Array(64);
    const count = await waiting.read(said) ?? 0;
    assert.equal(new TextDecoder().decode(said.subarray(0, count)), "answered");
    await new Promise((closed) => server.close(closed));
    assert.ok(Deno.lstatSync(address).isSocket);
  }
  closeFd(fd);

  // Another socket has the name by now.
  const stopped = new MountKeeper({ statePath });
  Deno.renameSync(address, `${folder}/old.sock`);
  assert.equal(stopped.takeSocket(address), null);
  Deno.renameSync(`${folder}/old.sock`, address);
  // Nobody will serve it.
  using refused = await Deno.connect({ transport: "unix", path: address });
  stopped.release();
  assert.equal(await refused.read(new Uint8Array(1)).catch(() => null), null);
  await assert.rejects(Deno.connect({ transport: "unix", path: address }));
  assert.throws(() => Deno.lstatSync(address), Deno.errors.NotFound);
  closeFd(fd0);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("mounts have a holder all the time, also where one for another socket cannot be started", async () => {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-handover-" });
  const statePath = `${folder}/handover.json`;
  const mount = {
    name: "n",
    mountpoint: "/",
    fd: openFd("/dev/null", O.RDONLY), // stands for a mount's descriptor
    negotiated: { minor: 45, flags: 0, flags2: 0 },
  };
  const holderPid = (): number =>
    JSON.parse(Deno.readTextFileSync(statePath)).holder.pid;
  const listening = (name: string) => {
    const address = `${folder}/${name}`;
    return { address, fd: listenUnix(address, 8) };
  };
  const [one, other] = [listening("one"), listening("other")];
  const before = new MountKeeper({ statePath });
  before.listensOn(one);
  before.keep([mount]);
  const former = holderPid();
  await before[Symbol.asyncDispose]();

  await Deno.mkdir(`${statePath}.new`); // no state can be written
  const after = new MountKeeper({ statePath });
  after.listensOn(other);
  after.keep([mount]);
  assert.equal(holderPid(), former);
  assert.notEqual(processStart(former), null, "it holds the mounts still");

  await Deno.remove(`${statePath}.new`);
  after.keep([mount]);
  const next = holderPid();
  assert.notEqual(next, former);
  assert.notEqual(processStart(next), null);
  assert.equal(processStart(former), null);
  await after[Symbol.asyncDispose]();
  endProcess(next);
  for (const fd of [mount.fd, one.fd, other.fd]) closeFd(fd);
  await Deno.remove(folder, { recursive: true });
});
