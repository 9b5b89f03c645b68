import assert from "node:assert/strict";
import { decodeToEnd } from "../../../lib/formats/zstd/mod.ts";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import {
  ctrPull,
  ctrRun,
  startContainerd,
  startDockerRegistry,
} from "../../support/host/mod.ts";
import {
  addBusybox,
  compressible,
  imageIndex,
  incompressible,
  layerBlob,
  type LayerPacking,
  makeImage,
  pushImage,
  TarBuilder,
} from "../../support/images/mod.ts";
import { sha256 } from "../../../lib/formats/oci/mod.ts";

const tar = new TarBuilder()
  .file("text", compressible(2_500_000))
  .file("noise", incompressible(100_000))
  .finish();

/** Places where a gzip member begins: magic, deflate, and no flags. */
function memberCount(bytes: Uint8Array): number {
  let count = 0;
  for (let i = 0; i + 3 < bytes.length; i++) {
    if (
      bytes[i] === 0x1f && bytes[i + 1] === 0x8b && bytes[i + 2] === 8 &&
      bytes[i + 3] === 0
    ) count++;
  }
  return count;
}

Deno.test("every packing unpacks to the archive", () => {
  const unpack: Record<LayerPacking, (bytes: Uint8Array) => Uint8Array> = {
    "gzip": gunzipSync,
    "gzip-multi": gunzipSync,
    "zstd": zstdDecompressSync,
    "zstd-multi": (bytes) => decodeToEnd(bytes, 2 ** 28, 2 ** 24),
    "none": (bytes) => bytes,
  };
  for (
    const packing of [
      "gzip",
      "gzip-multi",
      "zstd",
      "zstd-multi",
      "none",
    ] as const
  ) {
    const blob = layerBlob(tar, { compression: packing });
    assert.equal(sha256(unpack[packing](blob.bytes)), blob.diffId, packing);
    assert.equal(sha256(blob.bytes), blob.digest);
    assert.equal(blob.tarSize, tar.length);
  }
});

Deno.test("gzip-multi is a chain of members, gzip is one", () => {
  const members = (compression: LayerPacking) =>
    memberCount(layerBlob(tar, { compression }).bytes);
  assert.ok(members("gzip-multi") >= 3);
  assert.ok(members("gzip") < members("gzip-multi"));
});

// containerd 1.6 knows no Docker type for zstd
for (
  const [mediaTypes, compression] of [["oci", "zstd"], [
    "docker",
    "none",
  ]] as const
) {
  Deno.test(`containerd runs an image of ${mediaTypes} types out of an index`, async () => {
    await using registry = await startDockerRegistry();
    const image = makeImage({
      mediaTypes,
      layers: [
        layerBlob(addBusybox(new TarBuilder()), { compression }),
        layerBlob(tar, { compression: "gzip-multi" }),
      ],
      config: { entrypoint: ["/bin/wc", "-c"], cmd: ["/text"] },
    });
    const other = makeImage({
      mediaTypes,
      layers: [],
      platform: { os: "linux", architecture: "s390x" },
    });
    await pushImage(
      registry.host,
      "packed:1",
      imageIndex([other, image], { mediaTypes }),
    );
    await using containerd = await startContainerd();
    const name = `${registry.host}/packed:1`;
    await ctrPull(containerd, name);
    const { stdout } = await ctrRun(containerd, { image: name, id: "packed" });
    assert.equal(stdout, "2500000 /text\n");
  });
}
