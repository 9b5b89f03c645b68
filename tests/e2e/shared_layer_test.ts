/** A layer that images of two registries have in common lives as long as one of them does. */
import assert from "node:assert/strict";
import { sha256 } from "../../lib/formats/oci/mod.ts";
import { ctrRun } from "../support/host/mod.ts";
import {
  addBusybox,
  incompressible,
  layerBlob,
  makeImage,
  pushImage,
  TarBuilder,
} from "../support/images/mod.ts";
import { startRegistry } from "../support/registry/mod.ts";
import { buildIndex, LazyHost } from "./host.ts";

const FILES = 8;
const FILE_BYTES = 512 * 1024;

Deno.test("a layer of two registries' images is read on when the one it came from first hangs, or is gone", async () => {
  const tar = new TarBuilder().dir("data");
  const sums: string[] = [];
  for (let i = 0; i < FILES; i++) {
    const bytes = incompressible(FILE_BYTES, 7000 + i);
    sums.push(sha256(bytes).slice("sha256:".length));
    tar.file(`data/file-${i}`, bytes);
  }
  const shared = layerBlob(tar);
  const first = startRegistry();
  await using second = startRegistry();
  const images: string[] = [];
  for (const [at, { host }] of [first, second].entries()) {
    const programs = addBusybox(new TarBuilder()).dir("proc").dir("sys")
      .dir("dev").file("name", `${at}`);
    const image = makeImage({ layers: [layerBlob(programs), shared] });
    await pushImage(host, `app-${at}:1`, image);
    images.push(`${host}/app-${at}:1`);
    await buildIndex(
      ...["--min-layer-size", "0", "--span-size", "64KiB", images[at]!],
    );
  }
  await using host = await LazyHost.start();
  for (const image of images) {
    const { layers } = await host.pull(image);
    assert.ok(layers.every(({ outcome }) => outcome === "served"));
  }
  const read = async (file: number) => {
    const began = performance.now();
    const { code, stdout, stderr } = await ctrRun(host.containerd, {
      image: images[1]!,
      id: `reader-${file}`,
      snapshotter: "soci",
      args: ["/bin/busybox", "sha256sum", `/data/file-${file}`],
    });
    assert.equal(code, 0, `${stderr}\n${host.logs().slice(-3000)}`);
    assert.equal(stdout.split(" ")[0], sums[file]);
    return performance.now() - began;
  };
  const asked = () =>
    second.requests.filter(({ path, status }) =>
      path.endsWith(`/blobs/${shared.digest}`) && status === 206
    ).length;
  assert.equal(asked(), 1, "it has shown that it has the layer");
  // From the last file to the first: read-ahead goes forward only, so no file is here before it is read.
  await read(FILES - 1);
  assert.equal(asked(), 1, "the first one is well, and is asked");
  first.faults.add({ kind: "silence" });
  const hungMs = await read(FILES - 2);
  assert.ok(asked() > 1);
  const soonMs = await read(FILES - 3);
  console.log(
    `    first read after it hung ${Math.round(hungMs)} ms, next ${
      Math.round(soonMs)
    } ms`,
  );
  await first.close();
  for (let file = FILES - 4; file >= 0; file--) await read(file);
});
