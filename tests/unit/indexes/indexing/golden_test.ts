/**
 * The same image gives the same bytes as the existing tools: the digests below were printed by
 * release 0.16.1 of the existing `soci`, for this image, in UTC.
 * @module
 */
import assert from "node:assert/strict";
import {
  ArchiveWriter,
  openLocalImage,
} from "../../../../lib/remote/content/mod.ts";
import { convertImage } from "../../../../lib/indexes/indexing/mod.ts";
import { indexOf } from "../../../../lib/indexes/indexing/build.ts";
import { readFamily } from "../../../../lib/remote/image/mod.ts";
import { sha256 } from "../../../../lib/formats/oci/mod.ts";
import {
  type Image,
  incompressible,
  layerBlob,
  makeImage,
  TarBuilder,
} from "../../../support/images/mod.ts";
import { build, openPlaces } from "./places.ts";

/** Stored gzip blocks, which all versions of zlib write alike, and no gzip at all. */
function goldenImage(): Image {
  const base = new TarBuilder().dir("etc").file("etc/hostname", "x\n")
    .file("app/big", incompressible(3 * 2 ** 20));
  const top = new TarBuilder()
    .file("app/top", incompressible(2 ** 20, 7))
    .file("app/xattr", "q", { xattrs: { "user.a": "b" } })
    .file("etc/hostname", "y\n");
  return makeImage({
    platform: { os: "linux", architecture: "amd64" },
    layers: [
      layerBlob(base, { level: 0 }),
      layerBlob(new TarBuilder().file("app/small", "small"), { level: 0 }),
      layerBlob(top, { compression: "none" }),
    ],
  });
}

const OPTIONS = {
  spanSizeBytes: 2 ** 20,
  optimizeXattrs: true,
  prefetchFiles: ["/app/big", "etc/hostname", "nowhere"],
} as const;

const GOLDEN = {
  image:
    "sha256:49fb5c18c1dfcf765711ac606835a16514770c7fd26d0dc232eb34c8f2b87128",
  ztocs: [
    "sha256:4130fc75fc03b48732561ab343b83f926a928266f842a4f9adafc8db63b00dcd",
    "sha256:1dd9d3b2031892b2f2d56c4488a661cfb8e1bd14612dfbda4eea60018d80703d",
    "sha256:cb40d0a5943148875515ad9e1e265dca465f86d701a5fabf10fa1771e78c137a",
  ],
  prefetch: [
    "sha256:fae7e200f7ac3515abf897d7c407ef9bac9b5b2e736de1b1f733339ecec84dee",
    "sha256:b04258202a19e74f6bb3073fd2a613f77b5a9db17e15b4a15242ecbf32823285",
  ],
  indexV1:
    "sha256:c5fcd61fe94a3f3b350d62d711a7261147e4df170b12a158e94283616656ee4d",
  converted:
    "sha256:9bc912ebfe37ef5708a24ca39bb8350c60f0c0bdc020fcddbf118b11ddd4780c",
  archive:
    "sha256:473156362eeb53d6b961dd7a96ea8d4f67c07785bf82e4256de227d5f1f21b42",
};

Deno.test("ztocs, prefetch lists and index v1 are the existing tools', byte for byte", async () => {
  const image = goldenImage();
  assert.equal(
    image.digest,
    GOLDEN.image,
    "the image is not the one that was measured",
  );
  await using places = await openPlaces(image);
  const [built] = await build(places, OPTIONS);
  assert.deepEqual(built!.ztocs.map(({ digest }) => digest), GOLDEN.ztocs);
  assert.deepEqual(
    built!.prefetch.map(({ digest }) => digest),
    GOLDEN.prefetch,
  );
  assert.deepEqual(built!.missingFiles, ["nowhere"]);
  assert.equal(indexOf(built!, 1).descriptor.digest, GOLDEN.indexV1);
});

Deno.test("a standalone conversion is the existing tool's archive, byte for byte", async () => {
  await using places = await openPlaces(goldenImage());
  const path = `${places.folder}/converted.tar`;
  const sink = new ArchiveWriter(path);
  const built = await build({ ...places, sink: sink as never }, OPTIONS);
  const { image } = await convertImage({
    source: places.source,
    sink,
    family: await readFamily(places.source),
    built,
    name: null,
    content: "copy",
  });
  await sink.finish();
  assert.equal(image.digest, GOLDEN.converted);
  assert.equal(sha256(await Deno.readFile(path)), GOLDEN.archive);
  const again = await openLocalImage(path);
  assert.equal((await again.image()).digest, GOLDEN.converted);
});
