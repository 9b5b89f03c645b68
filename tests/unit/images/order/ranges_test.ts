import assert from "node:assert/strict";
import fc from "fast-check";
import { sha256 } from "../../../../lib/formats/oci/mod.ts";
import {
  decodePlan,
  encodePlan,
  FRAME_BYTES,
  type LoadOrder,
  type OrderRange,
  rangesOfFrame,
  unpackFrame,
} from "../../../../lib/formats/order/mod.ts";
import { Intervals } from "../../../../lib/images/order/intervals.ts";
import { packFrames, planFrames } from "../../../../lib/images/order/pack.ts";
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
  const file = { offset: 10_240, size: 200_000 };
  const ranges = rangesOf({
    layers,
    touches: [touch(0, 10_240 + 40_960, 4096), touch(0, 10_240, 4096)],
  }, {
    ...LIMITS,
    files: [[{ offset: 512, size: 9000 }, file], null],
    readAheadBytes: 32_768,
  });
  assert.deepEqual(ranges, [
    { layer: 0, offset: 10_240 + 24_576, length: 16_384 + 4096 + 65_536 },
    { layer: 0, offset: 10_240, length: 24_576 },
  ]);
  // A file's end is rounded to the tar's blocks, and no header behind it is taken.
  const end = rangesOf(
    { layers, touches: [touch(0, 10_240 + 196_608, 3392)] },
    { ...LIMITS, files: [[file], null], readAheadBytes: 8192 },
  );
  assert.deepEqual(end, [
    { layer: 0, offset: 10_240 + 192_512, length: 200_192 - 192_512 },
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

const byte = (layer: number, at: number) =>
  (at * 31 + (at >> 9) + layer) & 0xff;

const read = ({ layer, offset, length }: OrderRange) =>
  Uint8Array.from({ length }, (_, i) => byte(layer, offset + i));

const pack = async (ranges: readonly OrderRange[], others: LoadOrder[] = []) =>
  await packFrames(layers, planFrames(layers, ranges, others), read);

/** Holds all frames against the layers' bytes. @returns what they cover of each layer */
function unpacked(
  plan: LoadOrder,
  packs: ReadonlyMap<string, Uint8Array>,
): Intervals[] {
  const seen = layers.map(() => new Intervals());
  for (const frame of plan.frames) {
    const end = frame.offset + frame.compressedLength;
    const own = packs.get(plan.packs[frame.pack]!.digest)!;
    const content = unpackFrame(frame, own.subarray(frame.offset, end));
    for (
      const { layer, offset, bytes } of rangesOfFrame(plan, frame, content)
    ) {
      const number = layers.indexOf(layer);
      const right = bytes.every((value, i) =>
        value === byte(number, offset + i)
      );
      assert(right, `layer ${number} at ${offset}`);
      seen[number]!.add(offset, offset + bytes.length);
    }
  }
  return seen;
}

Deno.test("a pack holds every range's bytes, in frames of their order", async () => {
  const ranges = [
    { layer: 1, offset: 512, length: 700_000 },
    { layer: 0, offset: 0, length: 3 },
    { layer: 1, offset: 0, length: 512 },
  ];
  const made = await pack(ranges);
  const { order } = made;
  assert.deepEqual(order.packs, [
    { digest: sha256(made.pack), size: made.pack.length },
  ]);
  const plan = decodePlan(encodePlan(order));
  assert.equal(plan.frames.length, Math.ceil(700_515 / FRAME_BYTES));
  const seen = unpacked(plan, new Map([[sha256(made.pack), made.pack]]));
  for (const { layer, offset, length } of ranges) {
    assert.equal(seen[layer]!.covered(offset, offset + length), length);
  }
});

Deno.test("a frame of another image's pack is used where most of it is wanted, and no byte is packed twice", async () => {
  const base = await pack([
    { layer: 0, offset: 0, length: FRAME_BYTES }, // wanted but for its end
    { layer: 0, offset: 2 ** 20, length: FRAME_BYTES }, // hardly wanted
    { layer: 0, offset: 2 ** 21, length: 1000 }, // wanted
  ]);
  const ranges = [
    { layer: 1, offset: 0, length: 5000 },
    { layer: 0, offset: 100, length: FRAME_BYTES - 10_000 },
    { layer: 0, offset: 2 ** 20, length: 4096 },
    { layer: 0, offset: 2 ** 21 - 500, length: 2000 },
  ];
  const made = await pack(ranges, [base.order]);
  const plan = decodePlan(encodePlan(made.order)); // which refuses a byte in two ranges
  assert.deepEqual(
    plan.packs.map(({ digest }) => digest),
    [sha256(made.pack), sha256(base.pack)],
  );
  const shared = plan.frames.filter((frame) => frame.pack === 1);
  assert.deepEqual(
    shared.map(({ digest }) => digest),
    [base.order.frames[0]!.digest, base.order.frames[2]!.digest],
  );
  const seen = unpacked(
    plan,
    new Map([made, base].map((one) => [sha256(one.pack), one.pack])),
  );
  for (const { layer, offset, length } of ranges) {
    assert.equal(seen[layer]!.covered(offset, offset + length), length);
  }
});

Deno.test("frames with bytes of a layer that the image does not have are not used", async () => {
  const base = await pack([{ layer: 0, offset: 0, length: 5000 }]);
  const foreign = {
    ...base.order,
    layers: [sha256(Uint8Array.of(9)), layers[1]!],
  };
  const made = await pack([{ layer: 0, offset: 0, length: 5000 }], [foreign]);
  assert.deepEqual(made.order.packs.map(({ digest }) => digest), [
    sha256(made.pack),
  ]);
});

Deno.test("an order that other packs hold whole has no pack of its own; one of nothing has none at all", async () => {
  const ranges = [{ layer: 0, offset: 0, length: 5000 }];
  const base = await pack(ranges);
  const { order, pack: own } = await pack(ranges, [base.order]);
  assert.deepEqual(order.packs, base.order.packs);
  assert.equal(own.length, 0);
  const nothing = await pack([]);
  assert.deepEqual([nothing.order.packs, nothing.order.frames], [[], []]);
});
