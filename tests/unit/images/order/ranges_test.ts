import assert from "node:assert/strict";
import fc from "fast-check";
import { sha256 } from "../../../../lib/formats/oci/mod.ts";
import {
  decodePlan,
  encodePlan,
  FRAME_BYTES,
  rangesOfFrame,
  unpackFrame,
} from "../../../../lib/formats/order/mod.ts";
import { Intervals } from "../../../../lib/images/order/intervals.ts";
import { packRanges } from "../../../../lib/images/order/pack.ts";
import { rangesOf } from "../../../../lib/images/order/ranges.ts";

const layers = [sha256(Uint8Array.of(1)), sha256(Uint8Array.of(2))];
const touch = (layer: number, offset: number, length: number) => ({
  ...{ layer, offset, length },
  ...{ ms: 0, waitedMs: 0, runs: 1 },
});
const LIMITS = { maxRangeBytes: 2 ** 20, maxBytes: 2 ** 30 };

Deno.test("runs that were added are what is covered, whatever their order", () => {
  const run = fc.tuple(fc.nat(200), fc.integer({ min: 1, max: 40 }));
  fc.assert(
    fc.property(fc.array(run, { maxLength: 30 }), run, (runs, asked) => {
      const bytes = new Set<number>();
      const held = new Intervals();
      for (const [start, length] of runs) {
        const missing = new Set<number>();
        for (const [from, to] of held.add(start, start + length)) {
          for (let at = from; at < to; at++) missing.add(at);
        }
        for (let at = start; at < start + length; at++) {
          assert.equal(missing.has(at), !bytes.has(at), `byte ${at}`);
          bytes.add(at);
        }
      }
      const [start, length] = asked;
      let covered = 0;
      for (let at = start; at < start + length; at++) covered += +bytes.has(at);
      assert.equal(held.covered(start, start + length), covered);
    }),
  );
});

Deno.test("a touch takes along what the kernel may read around it, inside its file", () => {
  const file = { offset: 10_240, size: 100_000 };
  const ranges = rangesOf({
    layers,
    touches: [touch(0, 10_240 + 40_960, 4096), touch(0, 10_240, 4096)],
  }, {
    ...LIMITS,
    files: [[{ offset: 512, size: 9000 }, file], null],
    readAheadBytes: 32_768,
  });
  assert.deepEqual(ranges, [
    { layer: 0, offset: 10_240 + 24_576, length: 16_384 + 4096 + 32_768 },
    { layer: 0, offset: 10_240, length: 24_576 },
  ]);
  // A file's end is rounded to the tar's blocks, and no header behind it is taken.
  const end = rangesOf(
    { layers, touches: [touch(0, 10_240 + 98_304, 1696)] },
    { ...LIMITS, files: [[file], null], readAheadBytes: 8192 },
  );
  assert.deepEqual(end, [
    { layer: 0, offset: 10_240 + 94_208, length: 100_352 - 94_208 },
  ]);
});

Deno.test("bytes of no known file are taken as they were touched, and no byte twice", () => {
  const ranges = rangesOf({
    layers,
    touches: [touch(1, 0, 100), touch(1, 50, 100), touch(1, 150, 10)],
  }, { ...LIMITS, files: [null, null], readAheadBytes: 32_768 });
  assert.deepEqual(ranges, [{ layer: 1, offset: 0, length: 160 }]);
});

Deno.test("an order is cut where it would hold more than it may", () => {
  const ranges = rangesOf(
    {
      layers,
      touches: [touch(0, 0, 5000), touch(1, 0, 5000), touch(0, 9000, 9)],
    },
    {
      files: [null, null],
      readAheadBytes: 0,
      maxRangeBytes: 2000,
      maxBytes: 6000,
    },
  );
  assert.deepEqual(ranges.map(({ length }) => length), [
    2000,
    2000,
    1000,
    1000,
  ]);
});

Deno.test("a pack holds every range's bytes, in frames of their order", async () => {
  const byte = (layer: number, at: number) =>
    (at * 31 + (at >> 9) + layer) & 0xff;
  const ranges = [
    { layer: 1, offset: 512, length: 700_000 },
    { layer: 0, offset: 0, length: 3 },
    { layer: 1, offset: 0, length: 512 },
  ];
  const read = ({ layer, offset, length }: typeof ranges[number]) =>
    Uint8Array.from({ length }, (_, i) => byte(layer, offset + i));
  const { order, pack, bytes } = await packRanges(layers, ranges, read);
  assert.equal(bytes, 700_515);
  assert.deepEqual(order.packs, [{ digest: sha256(pack), size: pack.length }]);
  const plan = decodePlan(encodePlan(order));
  assert.equal(plan.frames.length, Math.ceil(bytes / FRAME_BYTES));
  const seen = new Map(layers.map((layer) => [layer, new Intervals()]));
  for (const frame of plan.frames) {
    const end = frame.offset + frame.compressedLength;
    const content = unpackFrame(frame, pack.subarray(frame.offset, end));
    for (
      const { layer, offset, bytes } of rangesOfFrame(plan, frame, content)
    ) {
      bytes.forEach((value, i) =>
        value === byte(layers.indexOf(layer), offset + i) || assert.fail()
      );
      seen.get(layer)!.add(offset, offset + bytes.length);
    }
  }
  for (const { layer, offset, length } of ranges) {
    assert.equal(
      seen.get(layers[layer]!)!.covered(offset, offset + length),
      length,
    );
  }
});

Deno.test("an order of nothing has no pack", async () => {
  const { order, pack } = await packRanges(layers, [], () => assert.fail());
  assert.deepEqual([order.packs, order.frames, pack.length], [[], [], 0]);
});
