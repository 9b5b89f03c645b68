/** What a restarted daemon does while its registry cannot be reached. */
import assert from "node:assert/strict";
import { sha256 } from "../../lib/formats/oci/mod.ts";
import { ctrRun, pause } from "../support/host/mod.ts";
import {
  addBusybox,
  incompressible,
  layerBlob,
  makeImage,
  pushImage,
  TarBuilder,
} from "../support/images/mod.ts";
import { throttle } from "../support/link/mod.ts";
import { startRegistry, type TestRegistry } from "../support/registry/mod.ts";
import { buildIndex, LazyHost } from "./host.ts";

const CACHED = incompressible(2 * 2 ** 20, 1);
const MISSING = incompressible(2 * 2 ** 20, 2);
/** More than is ever read ahead. */
const BETWEEN = incompressible(24 * 2 ** 20, 3);
/** Reads wait 2 s; the client's own patience is much longer. */
const CONFIG = `
[pull_modes.soci_v1]
enable = true
[background_fetch]
disable = true
[blob]
max_read_wait_sec = 2
`;

async function publish(registry: TestRegistry): Promise<void> {
  const tar = addBusybox(new TarBuilder()).dir("data")
    .file("data/cached", CACHED).file("data/between", BETWEEN)
    .file("data/missing", MISSING);
  await pushImage(
    registry.host,
    "offline:1",
    makeImage({ layers: [layerBlob(tar)], config: { cmd: ["/bin/sh"] } }),
  );
  await buildIndex(
    ...["--min-layer-size", "0", "--span-size", "256KiB"],
    `${registry.host}/offline:1`,
  );
}

/** Reads a file in a container of its own, past the kernel's cache. */
async function read(host: LazyHost, image: string, path: string) {
  await Deno.writeTextFile("/proc/sys/vm/drop_caches", "1");
  const started = performance.now();
  const { code, stdout, stderr } = await ctrRun(host.containerd, {
    image,
    id: `offline-${crypto.randomUUID()}`,
    snapshotter: "soci",
    args: ["/bin/busybox", "sha256sum", path],
  });
  return {
    code,
    digest: `sha256:${stdout.split(" ")[0]}`,
    stderr,
    seconds: (performance.now() - started) / 1000,
  };
}

Deno.test("a daemon started without its registry serves what is cached at once, and fails the rest in bounded time", async () => {
  await using registry = startRegistry();
  await publish(registry);
  const link = await throttle(registry.host, {
    bitsPerSecond: 1e9,
    delayMs: 1,
  });
  const image = `${link.host}/offline:1`;
  await using host = await LazyHost.start({ config: CONFIG });
  await host.pull(image);
  assert.equal(
    (await read(host, image, "/data/cached")).digest,
    sha256(CACHED),
  );

  await host.killDaemon();
  await link.close();
  await host.startDaemon();
  await host.reconnected();
  const cached = await read(host, image, "/data/cached");
  assert.equal(cached.digest, sha256(CACHED), cached.stderr);

  const missing = await read(host, image, "/data/missing");
  assert.notEqual(missing.code, 0);
  assert.match(missing.stderr, /I\/O error|Input\/output error/);
  assert.match(host.logs(), /no data within 2000 ms/);
  console.log(
    `    cached: ${cached.seconds.toFixed(2)} s, missing: EIO after ${
      missing.seconds.toFixed(2)
    } s (container start included)`,
  );
});

Deno.test("what failed while a registry kept silent or refused heals when it answers again, without a restart", async () => {
  await using registry = startRegistry();
  await publish(registry);
  const image = `${registry.host}/offline:1`;
  await using host = await LazyHost.start({ config: CONFIG });
  await host.pull(image);
  assert.equal(
    (await read(host, image, "/data/cached")).digest,
    sha256(CACHED),
  );
  await host.killDaemon();
  registry.faults.add({ kind: "status", status: 401, on: "all", times: 3 });
  registry.faults.add({ kind: "silence", on: "all" });
  await host.startDaemon();
  await host.reconnected();
  const cached = await read(host, image, "/data/cached");
  assert.equal(cached.digest, sha256(CACHED), cached.stderr);
  const silent = await read(host, image, "/data/missing");
  assert.notEqual(silent.code, 0);
  registry.faults.clear();
  await pause(1500); // what was waited for in vain fails at once for a moment
  const healed = await read(host, image, "/data/missing");
  assert.equal(healed.digest, sha256(MISSING), healed.stderr);
});
