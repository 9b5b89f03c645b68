/** Load orders of any shape, with the bytes they are of. @module */
import fc from "fast-check";
import { sha256 } from "../../../../lib/formats/oci/mod.ts";
import {
  type LoadOrder,
  type OrderRange,
  packFrame,
  type Recording,
} from "../../../../lib/formats/order/mod.ts";

const digest = fc.uint8Array({ maxLength: 6 }).map(sha256);

/** Ranges that hold no byte twice: gaps and lengths of each layer, then shuffled. */
const shape = fc.uniqueArray(digest, { minLength: 1, maxLength: 5 })
  .chain((layers) =>
    fc.record({
      layers: fc.constant(layers),
      pieces: fc.array(
        fc.record({
          layer: fc.nat(layers.length - 1),
          gap: fc.oneof(fc.nat(3), fc.nat(2 ** 34)),
          length: fc.integer({ min: 1, max: 300 }),
        }),
        { maxLength: 30 },
      ),
    })
  )
  .chain(({ layers, pieces }) => {
    const ends = layers.map(() => 0);
    const ranges = pieces.map(({ layer, gap, length }): OrderRange => {
      const offset = ends[layer]! + gap;
      ends[layer] = offset + length;
      return { layer, offset, length };
    });
    return fc.record({
      layers: fc.constant(layers),
      ranges: fc.shuffledSubarray(ranges, {
        minLength: ranges.length,
        maxLength: ranges.length,
      }),
      /** How many ranges each frame holds, until there are none left. */
      cuts: fc.array(fc.integer({ min: 1, max: 6 }), { maxLength: 10 }),
    });
  });

/** The byte of a layer at an offset: any that can be computed again. */
export const byteAt = (layer: number, offset: number): number =>
  (layer * 31 + offset * 7 + (offset >> 8)) & 0xff;

/** An order with its pack. */
export interface Sample {
  readonly order: LoadOrder;
  readonly pack: Uint8Array;
}

/** Bytes that stand for a frame, where nobody unpacks it: packing takes most of a test's time. */
const unread: typeof packFrame = (content) => ({
  bytes: content.subarray(0, 1),
  digest: sha256(content.subarray(0, 1)),
});

/** Packs ranges as cut. */
export function packed(
  layers: LoadOrder["layers"],
  ranges: readonly OrderRange[],
  cuts: readonly number[],
  pack: typeof packFrame = packFrame,
): Sample {
  const frames: LoadOrder["frames"][number][] = [];
  const blobs: Uint8Array[] = [];
  let firstRange = 0;
  let offset = 0;
  for (const cut of cuts) {
    const own = ranges.slice(firstRange, firstRange + cut);
    if (own.length === 0) break;
    const content = Uint8Array.from(
      own.flatMap(({ layer, offset, length }) =>
        Array.from({ length }, (_, i) => byteAt(layer, offset + i))
      ),
    );
    const { bytes, digest } = pack(content);
    frames.push({
      pack: 0,
      offset,
      compressedLength: bytes.length,
      length: content.length,
      digest,
      firstRange,
      rangeCount: own.length,
    });
    blobs.push(bytes);
    firstRange += own.length;
    offset += bytes.length;
  }
  const whole = new Uint8Array(offset);
  for (const [i, { offset }] of frames.entries()) whole.set(blobs[i]!, offset);
  const packs = frames.length === 0
    ? []
    : [{ digest: sha256(whole), size: whole.length }];
  return { order: { layers, ranges, packs, frames }, pack: whole };
}

/** Any order; its frames are not what they say. */
export const anyOrder: fc.Arbitrary<LoadOrder> = shape.map((
  { layers, ranges, cuts },
) => packed(layers, ranges, cuts, unread).order);

/** Any order, with its pack. */
export const sample: fc.Arbitrary<Sample> = shape.map((
  { layers, ranges, cuts },
) => packed(layers, ranges, cuts));

/** Any recording. */
export const recording: fc.Arbitrary<Recording> = fc.record({
  image: fc.string({ maxLength: 60 }),
  workload: fc.stringMatching(/^[a-z0-9][a-z0-9._-]{0,20}$/),
  platform: fc.constantFrom("linux/amd64", "linux/arm/v7", ""),
  runs: fc.integer({ min: 1, max: 9 }),
  shape,
  times: fc.array(fc.nat(100_000), { minLength: 30, maxLength: 30 }),
}).map(({ shape: { layers, ranges }, times, runs, ...head }) => ({
  ...head,
  runs,
  layers,
  touches: ranges.map((range, i) => ({
    ...range,
    ms: times[i]! / 1000,
    waitedMs: i % 3 === 0 ? times[i]! / 1000 : 0,
    runs: 1 + times[i]! % runs,
  })),
}));
