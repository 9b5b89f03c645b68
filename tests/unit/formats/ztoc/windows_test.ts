import fc from "fast-check";
import { Buffer } from "node:buffer";
import assert from "node:assert/strict";
import { WINDOW_BYTES } from "../../../../lib/formats/deflate/mod.ts";
import { packWindows, Windows } from "../../../../lib/formats/ztoc/windows.ts";
import { compressible, incompressible } from "../../../support/images/mod.ts";

/** Of which a reader needs some pieces only: what else there was is zeros. */
const used: fc.Arbitrary<Uint8Array> = fc.array(
  fc.tuple(fc.nat(WINDOW_BYTES - 1), fc.integer({ min: 1, max: 700 })),
  { minLength: 1, maxLength: 40 },
).map((pieces) => {
  const bytes = new Uint8Array(WINDOW_BYTES);
  for (const [at, length] of pieces) {
    const piece = incompressible(length, at);
    bytes.set(piece.subarray(0, WINDOW_BYTES - at), at);
  }
  return bytes;
});

/** Windows of all kinds: of a stream's start, of text, of noise, of both, and with pieces in use. */
const window: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc.constant(new Uint8Array(WINDOW_BYTES)),
  fc.nat(30_000).map((textBytes) => {
    const bytes = incompressible(WINDOW_BYTES, textBytes);
    bytes.set(compressible(textBytes));
    return bytes;
  }),
  used,
);

Deno.test("a window is the same however many of them are packed", () => {
  fc.assert(
    fc.property(fc.array(window, { maxLength: 6 }), fc.nat(7), (all, steps) => {
      const windows = new Windows(
        packWindows(all.map((window) => ({ window }))),
      );
      let left = true;
      for (let step = 0; step < steps; step++) left = windows.packNext();
      assert.equal(left, steps <= all.length);
      for (const [span, wanted] of all.entries()) {
        assert.ok(Buffer.from(windows.get(span)).equals(wanted), `${span}`);
      }
    }),
    { numRuns: 60 },
  );
});

Deno.test("windows do not keep what they were cut out of", () => {
  const blob = new Uint8Array(4 * WINDOW_BYTES).fill(1);
  const windows = new Windows(
    packWindows([{ window: blob.subarray(7, 7 + WINDOW_BYTES) }]),
  );
  assert.equal(windows.get(0).buffer.byteLength, WINDOW_BYTES);
  blob.fill(2);
  assert.equal(windows.get(0)[0], 1);
  windows.packNext();
  assert.ok(windows.get(0).every((byte) => byte === 1));
});

Deno.test("once all windows of a buffer are packed, its memory is returned", () => {
  const all = Array.from({ length: 40 }, (_, i) => (
    { window: compressible(WINDOW_BYTES).fill(i, 0, 9) }
  ));
  all[3] = { window: new Uint8Array(WINDOW_BYTES) };
  const facts = packWindows(all);
  const windows = new Windows(facts);
  const freed = () => facts.chunks.map(({ buffer }) => buffer.detached);
  assert.deepEqual(freed(), [false, false]);
  for (let span = 0; span < 32; span++) windows.packNext();
  assert.deepEqual(freed(), [false, false]);
  windows.packNext();
  assert.deepEqual(freed(), [true, false]);
  while (windows.packNext());
  assert.deepEqual(freed(), [true, true]);
});

Deno.test("a window with few bytes in use takes little more than these", () => {
  const sparse = new Uint8Array(WINDOW_BYTES);
  for (let at = 5; at < WINDOW_BYTES; at += 1000) sparse.fill(9, at, at + 40);
  const noise = incompressible(WINDOW_BYTES, 7);
  const facts = packWindows(
    [sparse, noise, sparse, new Uint8Array(WINDOW_BYTES)]
      .map((window) => ({ window })),
  );
  assert.equal(facts.chunks.length, 1);
  assert.equal(facts.chunks[0]!.length, WINDOW_BYTES);
  assert.ok(facts.runs.length < 2 * 33 * 52, `${facts.runs.length} bytes`);
  const windows = new Windows(facts);
  assert.ok(Buffer.from(windows.get(0)).equals(sparse));
  assert.ok(Buffer.from(windows.get(1)).equals(noise));
  assert.ok(Buffer.from(windows.get(2)).equals(sparse));
});
