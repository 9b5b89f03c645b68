import {
  FRAME_BYTES,
  type LoadOrder,
  type OrderPack,
  type OrderRange,
  type PackFrame,
  packFrame,
} from "../../formats/order/mod.ts";
import { type Digest, DigestStream } from "../../formats/oci/mod.ts";

/** An order with the bytes of its own pack. */
export interface PackedOrder {
  readonly order: LoadOrder;
  /** Its own pack; empty where it has none. */
  readonly pack: Uint8Array;
  /** Bytes of the ranges. */
  readonly bytes: number;
}

/** Cuts ranges into frames of about `FRAME_BYTES`: ranges that are longer are cut too. */
function framesOf(ranges: readonly OrderRange[]): OrderRange[][] {
  const frames: OrderRange[][] = [];
  let room = 0;
  for (const { layer, offset, length } of ranges) {
    for (let at = 0; at < length;) {
      if (room === 0) {
        frames.push([]);
        room = FRAME_BYTES;
      }
      const take = Math.min(length - at, room);
      frames.at(-1)!.push({ layer, offset: offset + at, length: take });
      at += take;
      room -= take;
    }
  }
  return frames;
}

/**
 * Packs ranges.
 * @param read gives the bytes of a range. Called once for each, in order.
 */
export async function packRanges(
  layers: readonly Digest[],
  ranges: readonly OrderRange[],
  read: (range: OrderRange) => Uint8Array,
): Promise<PackedOrder> {
  const frames: PackFrame[] = [];
  const blobs: Uint8Array[] = [];
  const digest = new DigestStream();
  const cut = framesOf(ranges);
  let [offset, bytes, firstRange] = [0, 0, 0];
  for (const own of cut) {
    const length = own.reduce((sum, { length }) => sum + length, 0);
    const content = new Uint8Array(length);
    let at = 0;
    for (const range of own) {
      content.set(read(range), at);
      at += range.length;
    }
    const packed = packFrame(content);
    blobs.push(packed.bytes);
    digest.update(packed.bytes);
    frames.push({
      pack: 0,
      offset,
      compressedLength: packed.bytes.length,
      length,
      digest: packed.digest,
      firstRange,
      rangeCount: own.length,
    });
    offset += packed.bytes.length;
    bytes += length;
    firstRange += own.length;
    await new Promise((resolve) => setTimeout(resolve, 0)); // a frame takes 50 ms
  }
  const pack = new Uint8Array(offset);
  for (const [i, frame] of frames.entries()) pack.set(blobs[i]!, frame.offset);
  const packs: OrderPack[] = offset === 0
    ? []
    : [{ digest: digest.finish(), size: offset }];
  return { order: { layers, ranges: cut.flat(), packs, frames }, pack, bytes };
}
