/** Ztocs of zstd layers: spans are whole frames. */
import assert from "node:assert/strict";
import { zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { sha256 } from "../../../../lib/formats/oci/mod.ts";
import {
  decodeSpan,
  MAX_FRAMES_OF_SPAN,
  ZstdError,
} from "../../../../lib/formats/zstd/mod.ts";
import {
  decodeFrameSpans,
  decodeZtoc,
  encodeZtoc,
  MAX_SPAN_BYTES,
  spanTable,
  type Ztoc,
  ZtocBuilder,
  ZtocError,
  type ZtocErrorCode,
} from "../../../../lib/formats/ztoc/mod.ts";
import { encodeFrameSpans } from "../../../../lib/formats/ztoc/frame_spans.ts";
import {
  compressible,
  incompressible,
  joinBytes,
  TarBuilder,
} from "../../../support/images/mod.ts";

const TAR = new TarBuilder().dir("d").file("d/text", compressible(400_000))
  .file("d/noise", incompressible(300_000)).file("last", "x").finish();

/** Frames of the tar, cut at these sizes, each with something before it. */
function framed(tar: Uint8Array, sizes: readonly number[], between = 0) {
  const frames: Uint8Array[] = [];
  for (let at = 0, i = 0; at < tar.length; i++) {
    const size = sizes[i % sizes.length]!;
    const head = Uint8Array.of(0x50, 0x2a, 0x4d, 0x18, between, 0, 0, 0);
    if (between > 0) frames.push(head, new Uint8Array(between));
    frames.push(zstdCompressSync(tar.subarray(at, at + size)));
    at += size;
  }
  return joinBytes(frames);
}

function build(layer: Uint8Array, spanSize: number, chunk = layer.length) {
  const builder = new ZtocBuilder({ compression: "zstd", spanSize });
  for (let at = 0; at < layer.length; at += chunk) {
    builder.push(layer.subarray(at, at + chunk));
  }
  return builder.finish();
}

/** Every span is what its digest says, and gives its part of the tar. */
function checkSpans(ztoc: Ztoc, layer: Uint8Array, tar: Uint8Array) {
  const spans = spanTable(decodeZtoc(encodeZtoc(ztoc)));
  for (let span = 0; span < spans.count; span++) {
    const piece = layer.slice(
      spans.compressedStart(span),
      spans.compressedEnd(span),
    );
    assert.equal(sha256(piece), spans.digest(span));
    const [start, end] = [spans.start(span), spans.end(span)];
    assert.deepEqual(
      decodeSpan(piece, end - start, MAX_SPAN_BYTES),
      tar.slice(start, end),
    );
    assert.equal(spans.spanAt(start), span);
    assert.equal(spans.spanAt(end - 1), span);
  }
  assert.equal(spans.end(spans.count - 1), ztoc.uncompressedSize);
  return spans;
}

Deno.test("a layer of frames is cut into spans of whole ones", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1000, max: 300_000 }), {
        minLength: 1,
        maxLength: 5,
      }),
      fc.integer({ min: 1, max: 400_000 }),
      fc.integer({ min: 1, max: 500_000 }),
      fc.integer({ min: 0, max: 100 }),
      fc.boolean(),
      (sizes, spanSize, chunk, between, padded) => {
        const tar = padded ? joinBytes([TAR, new Uint8Array(500_000)]) : TAR;
        const layer = framed(tar, sizes, between);
        const { ztoc, digest, diffId } = build(layer, spanSize, chunk);
        assert.equal(digest, sha256(layer));
        assert.equal(diffId, sha256(tar));
        assert.equal(ztoc.compression, "zstd");
        const spans = checkSpans(ztoc, layer, tar);
        for (let span = 0; span < spans.count - 1; span++) {
          assert.ok(spans.end(span) - spans.start(span) >= spanSize);
        }
      },
    ),
    { numRuns: 60 },
  );
});

Deno.test("very small frames make small spans, and too many that hold nothing are refused", () => {
  const one = zstdCompressSync(new Uint8Array(512));
  const layer = joinBytes(
    Array.from({ length: 2 * MAX_FRAMES_OF_SPAN + 10 }, () => one),
  );
  const { ztoc } = build(layer, 2 ** 30);
  assert.equal(ztoc.spanDigests.length, 3);
  const tar = new Uint8Array(ztoc.uncompressedSize);
  assert.equal(checkSpans(ztoc, layer, tar).count, 1, "two blocks end a tar");
  const empty = zstdCompressSync(new Uint8Array(0));
  const nothing = Array.from({ length: MAX_FRAMES_OF_SPAN }, () => empty);
  assert.throws(
    () => build(joinBytes([...nothing, one, one]), 1000),
    (error) => error instanceof ZstdError && error.code === "too-large",
  );
});

Deno.test("a layer of one frame, or of frames too large, is not seekable", () => {
  const refused = (layer: Uint8Array) =>
    assert.throws(
      () => build(layer, 1000, 65_536),
      (error) => error instanceof ZstdError && error.code === "not-seekable",
    );
  refused(zstdCompressSync(TAR));
  const empty = zstdCompressSync(new Uint8Array(0));
  refused(joinBytes([empty, zstdCompressSync(TAR), empty]));
  const zeros = new Uint8Array(MAX_SPAN_BYTES + 1);
  refused(joinBytes([zstdCompressSync(TAR), zstdCompressSync(zeros)]));
});

Deno.test("a zstd ztoc that lies about its spans is refused", () => {
  const layer = framed(TAR, [100_000]);
  const { ztoc } = build(layer, 100_000);
  const { spanSize, starts } = decodeFrameSpans(ztoc.checkpoints);
  assert.ok(starts.length > 4);
  const rejects = (change: Partial<Ztoc>, code: ZtocErrorCode) =>
    assert.throws(
      () => decodeZtoc(encodeZtoc({ ...ztoc, ...change })),
      (error) => {
        assert.ok(error instanceof ZtocError, String(error));
        assert.equal(error.code, code, error.message);
        return true;
      },
    );
  const withStarts = (
    change: (start: { in: number; out: number }, i: number) => {
      in: number;
      out: number;
    },
  ) => {
    const writer = encodeFrameSpans({ spanSize, starts: starts.map(change) });
    const checkpoints = new Uint8Array(writer.length);
    writer.write(checkpoints);
    return { checkpoints };
  };
  assert.deepEqual(withStarts((start) => start).checkpoints, ztoc.checkpoints);
  rejects(withStarts((s, i) => i === 2 ? starts[1]! : s), "order");
  rejects(withStarts((s, i) => i === 2 ? { ...s, in: 1 } : s), "order");
  rejects(withStarts((s, i) => i === 2 ? { ...s, out: 0 } : s), "order");
  rejects(withStarts((s, i) => i === 0 ? { ...s, out: 1 } : s), "order");
  rejects(
    withStarts((s, i) => i === 3 ? { ...s, in: layer.length + 1 } : s),
    "order",
  );
  rejects({ checkpoints: ztoc.checkpoints.subarray(0, -1) }, "count");
  rejects({ checkpoints: new Uint8Array(5) }, "bounds");
  rejects({ spanDigests: ztoc.spanDigests.slice(1) }, "count");
  // Neither is it one of gzip, nor one of gzip one of it.
  rejects({ compression: "gzip" }, "count");
  rejects({ compression: "uncompressed" }, "value");
});

Deno.test("a zstd layer that breaks off, or goes on with something else, is damaged", () => {
  const layer = framed(TAR, [100_000]);
  for (
    const broken of [
      layer.subarray(0, -1),
      layer.subarray(0, layer.length >> 1),
      joinBytes([layer, new Uint8Array(4)]),
    ]
  ) {
    assert.throws(
      () => build(broken, 100_000),
      (error) => error instanceof ZstdError && error.code === "damaged",
    );
  }
});
