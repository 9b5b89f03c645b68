import fc from "fast-check";
import { Buffer } from "node:buffer";
import assert from "node:assert/strict";
import { WINDOW_BYTES } from "../../../../lib/formats/deflate/mod.ts";
import { packWindows, Windows } from "../../../../lib/formats/ztoc/windows.ts";
import { compressible, incompressible } from "../../../support/images/mod.ts";

/** Windows of all kinds: of a stream's start, of text, of noise, and of both. */
const window: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc.constant(new Uint8Array(WINDOW_BYTES)),
  fc.nat(30_000).map((textBytes) => {
    const bytes = incompressible(WINDOW_BYTES, textBytes);
    bytes.set(compressible(textBytes));
    return bytes;
  }),
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
