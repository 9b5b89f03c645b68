import {
  FRAME_BYTES,
  type LoadOrder,
  type OrderPack,
  type OrderRange,
  type PackFrame,
  packFrame,
} from "../../formats/order/mod.ts";
import { type Digest, DigestStream } from "../../formats/oci/mod.ts";
import { Intervals } from "./intervals.ts";

/** What share of a frame of another image's pack must be wanted for the frame to be used. */
const REUSE_SHARE = 0.75;

/** An order with the bytes of its own pack. */
export interface PackedOrder {
  /** Its own pack is the first, where it has one. */
  readonly order: LoadOrder;
  /** Its own pack; empty where it has none. */
  readonly pack: Uint8Array;
}

/** One frame to be: ranges of its own, or a frame of another image's pack. */
type FramePlan =
  | { readonly kind: "own"; readonly ranges: OrderRange[] }
  | {
    readonly kind: "reused";
    readonly ranges: readonly OrderRange[];
    readonly frame: PackFrame;
    readonly pack: OrderPack;
  };

/**
 * Cuts ranges into frames of about `FRAME_BYTES`, with frames of other packs where most of such a one is
 * wanted. Ranges that are longer than a frame are cut too.
 * @param others orders whose packs may be used.
 */
export function planFrames(
  layers: readonly Digest[],
  ranges: readonly OrderRange[],
  others: readonly LoadOrder[],
): FramePlan[] {
  const reused = reusable(layers, ranges, others);
  // Whose bytes come by which frame; found again by the first byte of each of its ranges.
  const frames: FramePlan[] = [];
  const emitted = new Set<FramePlan>();
  let own: OrderRange[] = [];
  let room = 0;
  const take = (layer: number, from: number, to: number) => {
    while (from < to) {
      if (room === 0) {
        own = [];
        frames.push({ kind: "own", ranges: own });
        room = FRAME_BYTES;
      }
      const length = Math.min(to - from, room);
      own.push({ layer, offset: from, length });
      from += length;
      room -= length;
    }
  };
  for (const { layer, offset, length } of ranges) {
    let at = offset;
    const end = offset + length;
    for (const held of reused[layer]!) {
      if (held.end <= at) continue;
      if (held.start >= end) break;
      take(layer, at, held.start);
      if (!emitted.has(held.plan)) {
        emitted.add(held.plan);
        frames.push(held.plan);
      }
      at = Math.max(at, held.end);
    }
    take(layer, at, end);
  }
  return frames;
}

/** Bytes of a layer that come by a reused frame. */
interface HeldBytes {
  readonly start: number;
  readonly end: number;
  readonly plan: FramePlan;
}

/** The frames of other packs that are worth it, as what they hold of each layer, by offset. */
function reusable(
  layers: readonly Digest[],
  ranges: readonly OrderRange[],
  others: readonly LoadOrder[],
): HeldBytes[][] {
  const wanted = layers.map(() => new Intervals());
  for (const { layer, offset, length } of ranges) {
    wanted[layer]!.add(offset, offset + length);
  }
  const taken = layers.map(() => new Intervals());
  const held: HeldBytes[][] = layers.map(() => []);
  for (const other of others) {
    for (const frame of other.frames) {
      const own = other.ranges
        .slice(frame.firstRange, frame.firstRange + frame.rangeCount)
        .map((range) => ({
          ...range,
          layer: layers.indexOf(other.layers[range.layer]!),
        }));
      if (own.some(({ layer }) => layer < 0)) continue;
      const sum = (of: readonly Intervals[]) =>
        own.reduce(
          (sum, { layer, offset, length }) =>
            sum + of[layer]!.covered(offset, offset + length),
          0,
        );
      if (sum(wanted) < REUSE_SHARE * frame.length || sum(taken) > 0) continue;
      const pack = other.packs[frame.pack]!;
      const plan: FramePlan = { kind: "reused", ranges: own, frame, pack };
      for (const { layer, offset, length } of own) {
        taken[layer]!.add(offset, offset + length);
        held[layer]!.push({ start: offset, end: offset + length, plan });
      }
    }
  }
  for (const some of held) some.sort((a, b) => a.start - b.start);
  return held;
}

/**
 * Packs planned frames.
 * @param read gives the bytes of a range. Called once for each of the own frames, in order.
 */
export async function packFrames(
  layers: readonly Digest[],
  plans: readonly FramePlan[],
  read: (range: OrderRange) => Uint8Array,
): Promise<PackedOrder> {
  const blobs: Uint8Array[] = [];
  const digest = new DigestStream();
  const frames: (Omit<PackFrame, "pack"> & { of: Digest | null })[] = [];
  let [offset, firstRange] = [0, 0];
  for (const plan of plans) {
    const rangeCount = plan.ranges.length;
    if (plan.kind === "reused") {
      const { pack: of } = plan;
      frames.push({ ...plan.frame, firstRange, rangeCount, of: of.digest });
    } else {
      const content = contentOf(plan.ranges, read);
      const packed = packFrame(content);
      blobs.push(packed.bytes);
      digest.update(packed.bytes);
      frames.push({
        offset,
        compressedLength: packed.bytes.length,
        length: content.length,
        digest: packed.digest,
        firstRange,
        rangeCount,
        of: null,
      });
      offset += packed.bytes.length;
      await new Promise((resolve) => setTimeout(resolve, 0)); // a frame takes 50 ms
    }
    firstRange += rangeCount;
  }
  const own = { digest: digest.finish(), size: offset };
  const shared = plans.flatMap((plan) =>
    plan.kind === "reused" ? [plan.pack] : []
  );
  const packs = [
    ...(offset === 0 ? [] : [own]),
    ...new Map(shared.map((pack) => [pack.digest, pack])).values(),
  ];
  const numberOf = (of: Digest | null) =>
    packs.findIndex((pack) => pack.digest === (of ?? own.digest));
  return {
    order: {
      layers,
      ranges: plans.flatMap(({ ranges }) => ranges),
      packs,
      frames: frames.map(({ of, ...frame }) => ({
        ...frame,
        pack: numberOf(of),
      })),
    },
    pack: joined(blobs, offset),
  };
}

function contentOf(
  ranges: readonly OrderRange[],
  read: (range: OrderRange) => Uint8Array,
): Uint8Array {
  return joined(
    ranges.map(read),
    ranges.reduce((sum, { length }) => sum + length, 0),
  );
}

function joined(parts: readonly Uint8Array[], length: number): Uint8Array {
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
