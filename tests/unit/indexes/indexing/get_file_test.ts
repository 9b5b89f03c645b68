import assert from "node:assert/strict";
import { ContentError } from "../../../../lib/remote/content/mod.ts";
import {
  NoSuchFileError,
  readFileOfLayer,
} from "../../../../lib/indexes/indexing/mod.ts";
import type { LayerSource } from "../../../../lib/remote/content/mod.ts";
import { decodeZtoc } from "../../../../lib/formats/ztoc/mod.ts";
import {
  compressible,
  incompressible,
  layerBlob,
  type LayerPacking,
  makeImage,
  TarBuilder,
} from "../../../support/images/mod.ts";
import { build, openPlaces } from "./places.ts";

const BIG = incompressible(3 * 2 ** 20, 4);
const TEXT = compressible(3 * 2 ** 20);
const TAR = new TarBuilder()
  .file("twice", "first")
  .file("./bin/big", BIG)
  .file("text", TEXT)
  .file("empty")
  .hardlink("link", "bin/big")
  .symlink("symlink", "text")
  .file("twice", "second");

async function read(pieces: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: BlobPart[] = [];
  for await (const piece of pieces) parts.push(piece as BlobPart);
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

for (
  const compression of [
    "gzip",
    "gzip-multi",
    "zstd-multi",
    "none",
  ] as LayerPacking[]
) {
  Deno.test(`files come out of a ${compression} layer as they went in`, async () => {
    const image = makeImage({ layers: [layerBlob(TAR, { compression })] });
    await using places = await openPlaces(image);
    const [built] = await build(places, { spanSizeBytes: 300_000 });
    const ztoc = decodeZtoc(await places.sink.bytes(built!.ztocs[0]!));
    const [layer] = built!.image.manifest.layers;
    let bytesRead = 0;
    const source: LayerSource = {
      place: "counted",
      has: (content) => places.source.has(content),
      bytes: (content) => places.source.bytes(content),
      stream(content, options) {
        bytesRead += options?.length ?? content.size;
        return places.source.stream(content, options);
      },
    };
    const file = (path: string) =>
      read(readFileOfLayer(source, layer!, ztoc, path));
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    assert.equal(text(await file("/twice")), "second");
    assert.ok(bytesRead < layer!.size / 2, "it reads but the file's spans");
    assert.deepEqual(await file("bin/big"), BIG);
    assert.deepEqual(await file("/bin//big"), BIG);
    assert.deepEqual(await file("link"), BIG);
    assert.deepEqual(await file("text"), TEXT);
    assert.equal((await file("empty")).length, 0);
    for (const wrong of ["nowhere", "symlink", "", "bin"]) {
      assert.throws(
        () => readFileOfLayer(source, layer!, ztoc, wrong),
        NoSuchFileError,
      );
    }
  });
}

Deno.test("a file's bytes are those that the tree shows: through links, and of names that were replaced later", async () => {
  const tar = new TarBuilder()
    .file("a", "first").hardlink("b", "a").file("a", "second")
    .dir("usr/lib").symlink("lib", "usr/lib").file("lib/x.so", "x")
    .symlink("abs", "/usr/lib").file("abs/../../y", "y")
    .hardlink("hl", "lib/x.so").file("d/file", "of the directory")
    .file("d", "in its place");
  const image = makeImage({ layers: [layerBlob(tar)] });
  await using places = await openPlaces(image);
  const [built] = await build(places);
  const ztoc = decodeZtoc(await places.sink.bytes(built!.ztocs[0]!));
  const [layer] = built!.image.manifest.layers;
  const text = async (path: string) =>
    new TextDecoder().decode(
      await read(readFileOfLayer(places.source, layer!, ztoc, path)),
    );
  assert.equal(await text("a"), "second");
  assert.equal(await text("b"), "first");
  for (const path of ["lib/x.so", "usr/lib/x.so", "abs/x.so", "hl"]) {
    assert.equal(await text(path), "x", path);
  }
  assert.equal(await text("y"), "y");
  assert.equal(await text("d"), "in its place");
  await assert.rejects(() => text("d/file"), NoSuchFileError);
});

Deno.test("a layer whose bytes are not those of its ztoc gives no file", async () => {
  const image = makeImage({ layers: [layerBlob(TAR)] });
  await using places = await openPlaces(image);
  const [built] = await build(places);
  const ztoc = decodeZtoc(await places.sink.bytes(built!.ztocs[0]!));
  const [layer] = built!.image.manifest.layers;
  const bytes = new Uint8Array(image.layers[0]!.bytes);
  bytes[2 ** 20]! ^= 1;
  const source: LayerSource = {
    place: "broken",
    has: () => Promise.resolve(true),
    bytes: () => Promise.reject(new Error("unused")),
    stream: (_, { offset = 0, length = 0 } = {}) =>
      Promise.resolve(
        ReadableStream.from([bytes.slice(offset, offset + length)]),
      ),
  };
  await assert.rejects(
    read(readFileOfLayer(source, layer!, ztoc, "bin/big")),
    (error) => error instanceof ContentError && error.kind === "integrity",
  );
});
