import assert from "node:assert/strict";
import { ctrRun, pause } from "../support/host/mod.ts";
import {
  addBusybox,
  incompressible,
  layerBlob,
  makeImage,
  pushImage,
  TarBuilder,
} from "../support/images/mod.ts";
import { startRegistry } from "../support/registry/mod.ts";
import type { DaemonStatus } from "../../cmd/daemon_status.ts";
import { buildIndex, LazyHost, sociDeno } from "./host.ts";

const CONFIG = `
[prefetch]
enable = true
max_concurrency = 1
[pull_modes.soci_v1]
enable = true
[background_fetch]
disable = true
`;
const SPAN_BYTES = 64 * 1024;
const FILES = 40;
const LISTED = ["/data/file-7", "/data/file-30"];

/** A program, and a layer of files of which two are listed. */
function listedImage() {
  const programs = addBusybox(new TarBuilder()).dir("proc").dir("sys")
    .dir("dev").dir("tmp");
  const tar = new TarBuilder().dir("data");
  for (let i = 0; i < FILES; i++) {
    tar.file(`data/file-${i}`, incompressible(2 * SPAN_BYTES, i + 1));
  }
  return makeImage({ layers: [programs, tar].map((tar) => layerBlob(tar)) });
}

Deno.test("what an index's prefetch list names is fetched before it is read, and nothing else", async () => {
  await using registry = startRegistry();
  await pushImage(registry.host, "listed:1", listedImage());
  const image = `${registry.host}/listed:1`;
  await buildIndex(
    ...["--min-layer-size", "0", "--span-size", String(SPAN_BYTES)],
    ...LISTED.flatMap((path) => ["--prefetch-file", path]),
    image,
  );
  await using host = await LazyHost.start({ config: CONFIG });
  const status = async (): Promise<DaemonStatus> =>
    JSON.parse(
      (await sociDeno("status", "--json", "--root", host.root)).stdout,
    );
  await host.pull(image);
  for (let tries = 0; !host.logs().includes('"prefetched"'); tries++) {
    assert.ok(tries < 600, host.logs());
    await pause(50);
  }
  const before = await status();
  // Each file is of two spans' size, and begins and ends inside of one.
  assert.ok(before.fetched.prefetchBytes >= LISTED.length * 2 * SPAN_BYTES);
  assert.ok(before.fetched.prefetchBytes <= LISTED.length * 5 * SPAN_BYTES);
  assert.equal(before.fetched.demandBytes, 0);
  assert.equal(
    before.fetched.unreadAheadBytes,
    before.fetched.prefetchBytes,
  );
  const { code, stderr } = await ctrRun(host.containerd, {
    image,
    id: "listed",
    snapshotter: "soci",
    args: ["/bin/busybox", "md5sum", ...LISTED],
  });
  assert.equal(code, 0, stderr);
  const after = await status();
  assert.equal(after.fetched.unreadAheadBytes, 0);
  const ofData = (status: DaemonStatus) =>
    status.layers.find(({ dataBytes }) => dataBytes > FILES * SPAN_BYTES);
  assert.equal(
    ofData(after)!.cachedSpans,
    ofData(before)!.cachedSpans,
    "the files were here",
  );
});
