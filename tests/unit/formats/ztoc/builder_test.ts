import assert from "node:assert/strict";
import {
  constants,
  crc32,
  deflateRawSync,
  gunzipSync,
  gzipSync,
} from "node:zlib";
import {
  DeflateError,
  SpanInflater,
} from "../../../../lib/formats/deflate/mod.ts";
import { sha256 } from "../../../../lib/formats/oci/mod.ts";
import { parseHeader, TarError } from "../../../../lib/formats/tar/mod.ts";
import { TarBuilder } from "../../../support/images/mod.ts";
import {
  decodeCheckpoints,
  decodeZtoc,
  encodeZtoc,
  spanTable,
  ZtocBuilder,
  type ZtocBuilderOptions,
  ZtocError,
} from "../../../../lib/formats/ztoc/mod.ts";
import { blob, ZTOCS } from "./fixture.ts";

const FIXTURE_TOOL = "AWS SOCI CLI v0.1";

function build(
  layer: Uint8Array,
  options: ZtocBuilderOptions,
  chunkSize = () => layer.length || 1,
) {
  const builder = new ZtocBuilder(options);
  for (let at = 0; at < layer.length;) {
    const size = chunkSize();
    // A copy, also of a Node Buffer, whose slice() is a view.
    const chunk = new Uint8Array(layer.subarray(at, at + size));
    builder.push(chunk);
    chunk.fill(0xee); // nothing may hold on to a chunk
    at += size;
  }
  assert.equal(builder.compressedBytes, layer.length);
  return builder.finish();
}

function randomFrom(seed: number) {
  return (below: number) => (seed = (seed * 48271) % 0x7fffffff) % below;
}

/** A tar of one file of text-like bytes. */
function tarOf(size: number, seed: number): Uint8Array {
  const random = randomFrom(seed);
  const tar = new Uint8Array(512 + Math.ceil(size / 512) * 512 + 1024);
  const put = (at: number, text: string) =>
    tar.set(new TextEncoder().encode(text), at);
  put(0, "file");
  put(100, "0000644\x000000000\x000000000\0");
  put(124, `${size.toString(8).padStart(11, "0")}\x0000000000000\0`);
  put(148, "        0");
  const sum = tar.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  put(148, `${sum.toString(8).padStart(6, "0")}\0 `);
  for (let at = 0; at < size;) {
    const length = Math.min(size - at, 1 + random(40));
    const back = random(3) > 0 && at > 100
      ? 1 + random(Math.min(at, 60000))
      : 0;
    for (let i = 0; i < length; i++, at++) {
      tar[512 + at] = back ? tar[512 + at - back]! : random(256);
    }
  }
  return tar;
}

/** Every span of what was built inflates to the tar's bytes. */
function checkSpans(
  layer: Uint8Array,
  tar: Uint8Array,
  built: ReturnType<typeof build>,
) {
  const { ztoc, digest, diffId } = built;
  assert.equal(digest, sha256(layer));
  assert.equal(diffId, sha256(tar));
  assert.deepEqual(decodeZtoc(encodeZtoc(ztoc)), ztoc);
  const spans = spanTable(ztoc);
  const inflater = new SpanInflater();
  for (let i = 0; i < spans.count; i++) {
    const piece = layer.subarray(
      spans.compressedStart(i),
      spans.compressedEnd(i),
    );
    assert.equal(sha256(piece), spans.digest(i), `span ${i}`);
    const size = spans.end(i) - spans.start(i);
    const bytes = spans.window(i) === null
      ? piece.subarray(0, size)
      : inflater.inflate(piece, spans.bits(i), spans.window(i)!, size);
    assert.equal(
      sha256(bytes.slice()),
      sha256(tar.slice(spans.start(i), spans.end(i))),
      `span ${i}`,
    );
  }
  return spans;
}

/**
 * Release 0.4.1 sets no checkpoint behind the first gzip member; later ones do, and so do we. So the
 * ztoc of the layer of two members has one more span, and all else is equal.
 */
const TWO_MEMBERS = ZTOCS[1]!;

Deno.test("our ztocs are those of the existing tools, byte for byte, whatever the chunks", () => {
  for (const { digest, layerDigest, compression } of ZTOCS) {
    if (digest === TWO_MEMBERS.digest) continue;
    const layer = blob(layerDigest);
    const random = randomFrom(7);
    for (
      const chunkSize of [
        () => layer.length,
        () => 1 + random(3000),
        () => 1 + random(100_000),
      ]
    ) {
      const built = build(layer, {
        compression,
        spanSize: 65536,
        buildTool: FIXTURE_TOOL,
      }, chunkSize);
      assert.equal(sha256(encodeZtoc(built.ztoc)), digest);
      assert.equal(built.digest, layerDigest);
      const tar = compression === "gzip" ? gunzipSync(layer) : layer;
      assert.equal(built.diffId, sha256(tar));
    }
  }
});

Deno.test("a layer of two members has spans in both, from single bytes too", () => {
  const layer = blob(TWO_MEMBERS.layerDigest);
  const theirs = decodeZtoc(blob(TWO_MEMBERS.digest));
  const theirCheckpoints = decodeCheckpoints(theirs.checkpoints);
  const built = build(layer, {
    compression: "gzip",
    spanSize: 65536,
    buildTool: FIXTURE_TOOL,
  }, () => 1);
  const checkpoints = decodeCheckpoints(built.ztoc.checkpoints);
  assert.equal(checkpoints.checkpoints.length, 3);
  assert.deepEqual(
    { ...checkpoints, checkpoints: checkpoints.checkpoints.slice(0, 2) },
    theirCheckpoints,
  );
  assert.equal(built.ztoc.spanDigests[0], theirs.spanDigests[0]);
  const { checkpoints: _c, spanDigests: _s, ...rest } = theirs;
  assert.deepEqual({ ...built.ztoc, ...rest }, built.ztoc);
  checkSpans(layer, new Uint8Array(gunzipSync(layer)), built);
});

Deno.test("every span of a layer inflates to its part of the tar", () => {
  for (let seed = 1; seed <= 6; seed++) {
    const tar = tarOf(900_000, seed);
    const random = randomFrom(seed);
    const half = tar.length >> 1;
    const layer = seed % 2
      ? gzipSync(tar, { level: 1 + seed })
      : new Uint8Array([
        ...gzipSync(tar.subarray(0, half), { level: 0 }),
        ...gzipSync(tar.subarray(half)),
      ]);
    const built = build(
      layer,
      { compression: "gzip", spanSize: 50_000 },
      () => 1 + random(70_000),
    );
    const spans = checkSpans(layer, tar, built);
    assert(spans.count > 3, `${spans.count} spans`);
  }
});

Deno.test("spans much longer than what is held back are hashed whole", () => {
  const tar = tarOf(6_000_000, 3);
  const layer = gzipSync(tar);
  const random = randomFrom(11);
  const built = build(
    layer,
    { compression: "gzip", spanSize: 2_500_000 },
    () => 1 + random(1_500_000),
  );
  assert.equal(checkSpans(layer, tar, built).count, 3);
});

Deno.test("an uncompressed layer is cut into equal spans", () => {
  const tar = tarOf(100_000, 5);
  for (const spanSize of [1024, 65536, 4194304, tar.length]) {
    const built = build(
      tar,
      { compression: "uncompressed", spanSize },
      () => 7777,
    );
    const spans = checkSpans(tar, tar, built);
    assert.equal(spans.count, Math.ceil(tar.length / spanSize));
  }
});

Deno.test("an empty first member makes no empty span", () => {
  const tar = tarOf(200_000, 9);
  const layer = new Uint8Array([
    ...gzipSync(new Uint8Array(0)),
    ...gzipSync(new Uint8Array(0)),
    ...gzipSync(tar),
  ]);
  const built = build(layer, { compression: "gzip", spanSize: 65536 });
  checkSpans(layer, tar, built);
  const [first] = decodeCheckpoints(built.ztoc.checkpoints).checkpoints;
  assert.deepEqual([first!.in, first!.out], [50, 0]);
});

Deno.test("zeros behind the tar's end are no spans of their own", () => {
  const tar = new Uint8Array(3_000_000);
  tar.set(tarOf(100_000, 4));
  // Random data behind the end marker, so that blocks end there.
  const random = randomFrom(5);
  for (let i = 110_000; i < tar.length; i++) tar[i] = random(256);
  const layer = gzipSync(tar);
  const built = build(layer, { compression: "gzip", spanSize: 65536 });
  const end = tarOf(100_000, 4).length;
  assert.equal(built.ztoc.uncompressedSize, end);
  const spans = checkSpans(layer, tar, built);
  assert.equal(spans.end(spans.count - 1), end);
  assert(spans.count < built.ztoc.spanDigests.length);
  assert.throws(() => spans.spanAt(end), RangeError);
});

Deno.test("a checkpoint before an empty last block, as Go writes one, is listed and not used", () => {
  const tar = tarOf(150_000, 8);
  const footer = new DataView(new ArrayBuffer(8));
  footer.setUint32(0, crc32(tar), true);
  footer.setUint32(4, tar.length, true);
  const layer = new Uint8Array([
    ...[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff],
    ...deflateRawSync(tar, { finishFlush: constants.Z_SYNC_FLUSH }),
    ...[1, 0, 0, 0xff, 0xff],
    ...new Uint8Array(footer.buffer),
  ]);
  const built = build(layer, { compression: "gzip", spanSize: 1 });
  const { checkpoints } = decodeCheckpoints(built.ztoc.checkpoints);
  assert.equal(checkpoints.at(-1)!.out, tar.length);
  const spans = checkSpans(layer, tar, built);
  assert.equal(spans.count, checkpoints.length - 1);
  assert.equal(spans.end(spans.count - 1), tar.length);
});

Deno.test("spans of an uncompressed layer end with the tar, not with its padding", () => {
  const tar = tarOf(10_000, 2);
  const layer = new Uint8Array(tar.length + 9000);
  layer.set(tar);
  const built = build(layer, { compression: "uncompressed", spanSize: 4096 });
  const spans = spanTable(built.ztoc);
  assert.equal(built.ztoc.uncompressedSize, tar.length);
  assert.equal(built.ztoc.spanDigests.length, Math.ceil(layer.length / 4096));
  assert.equal(spans.count, Math.ceil(tar.length / 4096));
  assert.equal(spans.end(spans.count - 1), tar.length);
  assert.equal(spans.compressedEnd(spans.count - 1), spans.count * 4096);
  assert.equal(
    spans.digest(spans.count - 1),
    sha256(layer.slice((spans.count - 1) * 4096, spans.count * 4096)),
  );
});

Deno.test("layers that cannot be indexed say why", () => {
  const gzip = { compression: "gzip", spanSize: 4096 } as const;
  const tar = tarOf(5000, 1);
  const good = gzipSync(tar);
  assert.throws(() => build(tar, gzip), DeflateError);
  assert.throws(() => build(good.subarray(0, -1), gzip), DeflateError);
  assert.throws(
    () => build(new Uint8Array([...good, 0x1f, 0x8b]), gzip),
    DeflateError,
  );
  assert.throws(() => build(deflateRawSync(tar), gzip), DeflateError);
  assert.throws(() => build(gzipSync(tar.subarray(0, 3000)), gzip), TarError);
  assert.throws(
    () => build(good, { compression: "uncompressed", spanSize: 4096 }),
    TarError,
  );
  assert.throws(
    () => new ZtocBuilder({ compression: "gzip", spanSize: 0 }),
    RangeError,
  );
});

Deno.test("spans that no reader takes are not made", () => {
  const tar = new TarBuilder().file("zeros", new Uint8Array(70e6)).finish();
  const tooLarge = (error: unknown) =>
    error instanceof ZtocError && error.code === "too-large";
  for (const spanSize of [65 * 2 ** 20, 2 ** 30]) {
    assert.throws(
      () => build(gzipSync(tar), { compression: "gzip", spanSize }),
      tooLarge,
    );
    assert.throws(
      () => build(tar, { compression: "uncompressed", spanSize }),
      tooLarge,
    );
  }
  const { ztoc } = build(gzipSync(tar), {
    compression: "gzip",
    spanSize: 60 * 2 ** 20,
  });
  assert.equal(spanTable(ztoc).count, 2);
});

Deno.test("a file behind something passed over begins where an entry before it ends", () => {
  const tar = new TarBuilder()
    .globalPax({ comment: "of all" })
    .file("first", "1")
    .globalPax({ comment: "again" })
    .dir("dir")
    .file("dir/second", "22")
    .finish();
  const { ztoc } = build(tar, { compression: "uncompressed", spanSize: 4096 });
  // As readers of ztocs find headers: where the data before ends.
  let end = 0;
  const found: string[] = [];
  for (const { name, type, offset, size } of ztoc.entries) {
    const text = new TextDecoder().decode(name);
    if (type === "reg" && !text.startsWith(".wh..wh.")) {
      assert.equal(
        new TextDecoder().decode(parseHeader(tar.subarray(end, offset)).name),
        text,
      );
      found.push(text);
    }
    end = Math.ceil((offset + size) / 512) * 512;
  }
  assert.deepEqual(found, ["first", "dir/second"]);
  // One stands before `first`; a directory's header is not looked at.
  assert.equal(ztoc.entries.length, 4);
  assert.deepEqual(decodeZtoc(encodeZtoc(ztoc)), ztoc);
});
