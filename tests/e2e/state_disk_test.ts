/** A disk that is full, or takes no writes: starting, taking over, stopping and removing work on it. */
import assert from "node:assert/strict";
import {
  ctrRun,
  leftovers,
  pause,
  SmallDisk,
  sociDenoCommand,
  tryRun,
} from "../support/host/mod.ts";
import { startRegistry, type TestRegistry } from "../support/registry/mod.ts";
import { checkedDuring, hostWithImage, readsRight } from "./checked_host.ts";
import { type LazyHost, sociDeno } from "./host.ts";

async function hostOn(
  disk: SmallDisk,
  registry: TestRegistry,
  config?: string,
) {
  const made = await hostWithImage(registry, { root: disk.root }, config);
  assert.ok(await readsRight(made.host, made.image));
  return made;
}

async function becomes(what: string, is: () => Promise<boolean>) {
  for (let tries = 0; !await is(); tries++) {
    assert.ok(tries < 100, what);
    await pause(100);
  }
}

/** In a short round one kind of disk for each test. */
const IS_SHORT = Deno.env.get("SOCI_DENO_STATE_CELLS") !== "all";

for (const kind of ["tmpfs", "ext4"] as const) {
  if (kind === "ext4" || !IS_SHORT) testFull(kind);
  if (kind === "tmpfs" || !IS_SHORT) testReadOnly(kind);
}

function testFull(kind: "tmpfs" | "ext4"): void {
  Deno.test(`on a full ${kind} a daemon starts after a kill and a stop, is taken over, and a container reads on; images that are removed free their bytes`, async () => {
    await using registry = startRegistry();
    await using disk = await SmallDisk.make(kind, 300);
    const { host, image } = await hostOn(disk, registry);
    await using _host = host;
    assert.equal(Deno.statSync(`${disk.root}/reserve`).size, 4 * 2 ** 20);
    await checkedDuring({ host, image }, 16, async () => {
      await disk.fill();
      await host.killDaemon();
      await host.startDaemon();
      await disk.fill();
      await host.stopDaemon();
      await disk.fill();
      await host.startDaemon();
      await disk.fill();
      await host.takeOver();
    });
    assert.equal(host.logs().match(/mounts taken over/g)?.length, 3);
    assert.doesNotMatch(host.logs(), /state on disk was lost or damaged/);
    await host.reconnected();
    assert.ok((await disk.used()) > 500);
    await disk.fill();
    await host.removeImages(image);
    await becomes(
      "caches of removed images are gone",
      async () => (await disk.used()) < 100,
    );
    await host.pull(image); // there is room again
    assert.ok(await readsRight(host, image));
  });
}

function testReadOnly(kind: "tmpfs" | "ext4"): void {
  Deno.test(`on a read-only ${kind} a daemon starts, says so, a container reads on; it is taken over and stopped, and images are removed`, async () => {
    await using registry = startRegistry();
    await using disk = await SmallDisk.make(kind, 300);
    const { host, image } = await hostOn(disk, registry);
    await using _host = host;
    const served = [...Deno.readDirSync(`${disk.root}/layers`)].length;
    await checkedDuring({ host, image }, 14, async () => {
      await host.killDaemon();
      await disk.readOnly();
      await host.startDaemon();
      assert.match(host.logs(), /the disk is read-only/);
      const { pid } = host;
      await host.takeOver();
      assert.notEqual(host.pid, pid);
    });
    assert.equal(host.logs().match(/mounts taken over/g)?.length, 2);
    const status = await sociDeno("status", "--json", "--root", disk.root);
    assert.equal(status.code, 0, status.stderr);
    assert.equal(JSON.parse(status.stdout).layers.length, served);
    await host.connected();
    const { code, stderr } = await ctrRun(host.containerd, {
      image,
      id: `new-${crypto.randomUUID()}`,
      snapshotter: "soci",
      args: ["/usr/bin/python3", "--version"],
    });
    assert.notEqual(code, 0);
    assert.match(stderr, /read-only file system/i);
    await host.removeImages(image);
    const running = await sociDeno("stop", "--root", disk.root);
    assert.equal(running.code, 0, running.stderr);
    assert.deepEqual(leftovers(disk.root).mounts, []);
    await host.killDaemon();
    await host.startDaemon();
    await host.killDaemon();
    const stopped = await sociDeno("stop", "--root", disk.root);
    assert.equal(stopped.code, 0, stopped.stderr);
    assert.deepEqual(leftovers(disk.root).mounts, []);
    await disk.writable();
    await host.startDaemon();
    await host.reconnected();
    await host.pull(image);
    assert.ok(await readsRight(host, image));
  });
}

/** Starts a daemon as `host` does, on a disk where it cannot; what it says at its end. */
async function failsToStart(
  host: LazyHost,
  socket = host.socket,
): Promise<string> {
  const { program, args } = sociDenoCommand(
    ...["serve", "--address", socket, "--root", host.root],
    ...["--config", `${host.folder}/config.toml`],
  );
  const { code, stderr } = await tryRun(program, args, { timeoutMs: 60_000 });
  assert.equal(code, 1, stderr);
  return stderr.trim().split("\n").at(-1)!;
}

Deno.test("a daemon that cannot start on a full or read-only disk says why and what to do, and leaves mounts and readers as they are for one that can", async () => {
  await using registry = startRegistry();
  await using disk = await SmallDisk.make("tmpfs", 100);
  const { host, image } = await hostOn(disk, registry);
  await using _host = host;
  await checkedDuring({ host, image }, 6, async () => {
    await host.killDaemon();
    // What is to be made anew needs room, and nothing is set aside.
    await disk.fill();
    for (
      const name of ["reserve", "slots.db", "slots.db-wal", "slots.db-shm"]
    ) {
      Deno.removeSync(`${disk.root}/${name}`);
    }
    await disk.fill();
    const full = await failsToStart(host);
    assert.match(full, /the disk of .* is full: free some of it/);
    disk.free();
    await disk.readOnly();
    const socket = `${disk.root}/soci.sock`;
    const readOnly = await failsToStart(host, socket);
    assert.ok(readOnly.includes(socket), readOnly);
    assert.match(readOnly, /read-only/i);
    await disk.writable();
    await host.startDaemon();
  });
  assert.equal(host.logs().match(/mounts taken over/g)?.length, 1);
  assert.doesNotMatch(host.logs(), /mounting anew/);
});

/** Less than the image, and what the daemon sets aside for its state. */
const OWN_MIB = 24;
/** Fetches whole images at once, and may take more than the disk has. */
const GREEDY = `
[pull_modes.soci_v1]
enable = true
[background_fetch]
silence_period_msec = 0
[cache]
max_bytes = 1073741824
`;

Deno.test("on a disk that our own cache fills a daemon starts, stops and is taken over, and a container reads on; an image that is removed frees its bytes, and one that comes is served", async () => {
  await using registry = startRegistry();
  await using disk = await SmallDisk.make("tmpfs", OWN_MIB);
  const { host, image } = await hostOn(disk, registry, GREEDY);
  await using _host = host;
  await becomes(
    "the cache fills the disk",
    () =>
      Promise.resolve(
        /layers are read uncached/.test(
          Deno.readTextFileSync(`${host.folder}/daemon.log`),
        ),
      ),
  );
  await checkedDuring({ host, image }, 6, async () => {
    await host.killDaemon();
    await host.startDaemon();
    await host.stopDaemon();
    await host.startDaemon();
    await host.takeOver();
  });
  assert.equal(host.logs().match(/mounts taken over/g)?.length, 3);
  assert.doesNotMatch(host.logs(), /state on disk was lost or damaged/);
  await host.reconnected();
  const full = await disk.used();
  await host.removeImages(image);
  await becomes(
    "the cache of the removed image is gone",
    async () => (await disk.used()) < 100,
  );
  console.log(`    ${full} KiB of layers`);
  await host.pull(image);
  assert.ok(await readsRight(host, image));
});
