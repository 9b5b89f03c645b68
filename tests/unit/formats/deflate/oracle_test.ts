import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { constants, gunzipSync, gzipSync } from "node:zlib";
import fc from "fast-check";
import {
  type Checkpoint,
  DeflateError,
  GzipIndexer,
  SpanInflater,
} from "../../../../lib/formats/deflate/mod.ts";

function index(gzip: Uint8Array, spanSize: number, pieceBytes: number) {
  const checkpoints: Checkpoint[] = [];
  const output: Uint8Array[] = [];
  const indexer = new GzipIndexer({
    spanSize,
    onOutput: (chunk) => output.push(chunk.slice()),
    onCheckpoint: (checkpoint) => {
      if (checkpoints.at(-1)?.out === checkpoint.out) checkpoints.pop();
      checkpoints.push(checkpoint);
    },
  });
  for (let at = 0; at < gzip.length; at += pieceBytes) {
    indexer.push(gzip.subarray(at, at + pieceBytes));
  }
  const { compressedSize } = indexer.finish();
  return { checkpoints, compressedSize, output: Buffer.concat(output) };
}

/** Bytes with runs, repeats and noise, so that all kinds of blocks and distances occur. */
const content = fc.array(
  fc.oneof(
    fc.uint8Array({ maxLength: 3000 }),
    fc.tuple(fc.nat(255), fc.nat(40_000)).map(([byte, length]) =>
      new Uint8Array(length).fill(byte)
    ),
    fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 40 }), fc.nat(2000))
      .map(([unit, times]) =>
        Uint8Array.from(Buffer.concat(
          Array.from({ length: times }, () => unit),
        ))
      ),
  ),
  { maxLength: 12 },
).map((parts) => Buffer.concat(parts));

const member = fc.record({
  content,
  level: fc.integer({ min: 0, max: 9 }),
  strategy: fc.constantFrom(
    constants.Z_DEFAULT_STRATEGY,
    constants.Z_FIXED,
    constants.Z_RLE,
    constants.Z_HUFFMAN_ONLY,
    constants.Z_FILTERED,
  ),
});

const pack = ({ content, level, strategy }: {
  content: Buffer;
  level: number;
  strategy: number;
}) => gzipSync(content, { level, strategy });

Deno.test("what zlib deflated in any way comes out whole, in pieces and span by span", () => {
  const inflater = new SpanInflater();
  fc.assert(
    fc.property(
      fc.array(member, { minLength: 1, maxLength: 4 }),
      fc.integer({ min: 1, max: 70_000 }),
      fc.integer({ min: 0, max: 50_000 }),
      (members, pieceBytes, spanSize) => {
        const gzip = Buffer.concat(members.map(pack));
        const expected = Buffer.concat(members.map(({ content }) => content));
        const { checkpoints, output } = index(gzip, spanSize, pieceBytes);
        assert.ok(output.equals(expected), "whole");
        checkpoints.forEach(({ in: at, out, bits, window }, i) => {
          const next = checkpoints[i + 1];
          const bytes = inflater.inflate(
            gzip.subarray(at - (bits > 0 ? 1 : 0), next?.in ?? gzip.length),
            bits,
            window,
            (next?.out ?? expected.length) - out,
          );
          assert.ok(
            expected.subarray(out, out + bytes.length).equals(bytes),
            `span ${i}`,
          );
        });
      },
    ),
    { numRuns: 150 },
  );
});

Deno.test("a damaged stream is refused with its offset, never trapped and never read as good", () => {
  const text = Buffer.from("lazy loading of container images ".repeat(900));
  fc.assert(
    fc.property(
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
      fc.integer({ min: 0, max: 9 }),
      (place, flip, level) => {
        const gzip = gzipSync(text, { level });
        gzip[place % gzip.length]! ^= flip;
        let expected: Buffer | null = null;
        try {
          expected = gunzipSync(gzip);
        } catch {
          // zlib refuses it: so must we
        }
        try {
          const { output } = index(gzip, 1000, 777);
          assert.ok(expected?.equals(output));
        } catch (error) {
          assert.ok(error instanceof DeflateError, String(error));
          assert.ok(error.offset <= gzip.length);
        }
      },
    ),
    { numRuns: 400 },
  );
});

Deno.test("a stream cut anywhere is refused as truncated", () => {
  const gzip = gzipSync(Buffer.from("abc".repeat(5000)));
  for (let length = 0; length < gzip.length; length++) {
    assert.throws(
      () => index(gzip.subarray(0, length), 1000, 100),
      (error) => error instanceof DeflateError && error.code === "truncated",
    );
  }
});

Deno.test("a span that gives too little is refused", () => {
  const gzip = gzipSync("hello");
  assert.throws(
    () =>
      new SpanInflater().inflate(
        gzip.subarray(10),
        0,
        new Uint8Array(32768),
        6,
      ),
    DeflateError,
  );
});
