import { Buffer } from "node:buffer";
import type { Digest } from "../oci/mod.ts";
import { checkOrder } from "./check.ts";
import { OrderError } from "./errors.ts";
import {
  type LoadOrder,
  MAX_LAYER_OFFSET,
  maxCompressedBytes,
  type OrderPack,
  type OrderRange,
  type PackFrame,
  PLAN_LIMITS,
  type PlanLimits,
} from "./model.ts";
import { PlanReader, PlanWriter } from "./varints.ts";

/** `SDORDER` and the version. */
const MAGIC = Uint8Array.of(0x53, 0x44, 0x4f, 0x52, 0x44, 0x45, 0x52, 1);
const DIGEST_BYTES = 32;

/**
 * Writes a plan.
 * @throws OrderError for an order that no reader would take.
 */
export function encodePlan(order: LoadOrder): Uint8Array {
  checkOrder(order, PLAN_LIMITS);
  const out = new PlanWriter();
  out.raw(MAGIC);
  out.varint(order.layers.length);
  for (const digest of order.layers) out.raw(digestBytes(digest));
  out.varint(order.packs.length);
  for (const { digest, size } of order.packs) {
    out.raw(digestBytes(digest));
    out.varint(size);
  }
  out.varint(order.ranges.length);
  const ends = new Float64Array(order.layers.length);
  for (const { layer, offset, length } of order.ranges) {
    out.varint(layer);
    out.signed(offset - ends[layer]!);
    out.varint(length);
    ends[layer] = offset + length;
  }
  out.varint(order.frames.length);
  for (const frame of order.frames) {
    out.varint(frame.pack);
    out.varint(frame.offset);
    out.varint(frame.compressedLength);
    out.varint(frame.rangeCount);
    out.raw(digestBytes(frame.digest));
  }
  const bytes = out.finish();
  if (bytes.length > PLAN_LIMITS.planBytes) throw tooLarge(bytes.length);
  return bytes;
}

/**
 * Reads a plan from an untrusted place, in time and memory that its length bounds. What comes back is
 * consistent: no byte is in two ranges, every frame lies in its pack and holds whole ranges, the frames'
 * ranges are the first ones in order.
 * @param limits what to refuse; smaller ones may be given.
 * @throws OrderError, and nothing else.
 */
export function decodePlan(
  bytes: Uint8Array,
  limits: PlanLimits = PLAN_LIMITS,
): LoadOrder {
  if (bytes.length > limits.planBytes) throw tooLarge(bytes.length);
  const input = new PlanReader(bytes);
  if (!MAGIC.every((byte, i) => bytes[i] === byte)) {
    throw input.error("value", "these bytes are no plan of version 1");
  }
  input.raw(MAGIC.length);
  const order: LoadOrder = {
    layers: list(input, limits.layers, "layers", () => readDigest(input)),
    packs: list(input, limits.packs, "packs", () => readPack(input)),
    ranges: readRanges(input, limits),
    frames: [],
  };
  const whole = { ...order, frames: readFrames(input, order.ranges, limits) };
  if (!input.isAtEnd) throw input.error("value", "more follows the plan's end");
  checkOrder(whole, limits);
  return whole;
}

function tooLarge(bytes: number): OrderError {
  return new OrderError("too-large", `load order of ${bytes} bytes`);
}

function digestBytes(digest: Digest): Uint8Array {
  return Buffer.from(digest.slice("sha256:".length), "hex");
}

function readDigest(input: PlanReader): Digest {
  const bytes = input.raw(DIGEST_BYTES);
  const hex = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    .toString("hex");
  return `sha256:${hex}` as Digest;
}

function readPack(input: PlanReader): OrderPack {
  return {
    digest: readDigest(input),
    size: input.varint(Number.MAX_SAFE_INTEGER, "a pack's size"),
  };
}

/** Reads a counted list. Memory grows with the items that are here, not with what the count says. */
function list<T>(
  input: PlanReader,
  max: number,
  what: string,
  read: () => T,
): T[] {
  const count = input.varint(max, `the number of ${what}`);
  const items: T[] = [];
  while (items.length < count) items.push(read());
  return items;
}

/** Offsets count from the end of the layer's last range; `checkOrder` says what they may be. */
function readRanges(input: PlanReader, limits: PlanLimits): OrderRange[] {
  const ends = new Map<number, number>();
  return list(input, limits.ranges, "ranges", () => {
    const layer = input.varint(limits.layers, "a range's layer");
    const offset = (ends.get(layer) ?? 0) +
      input.signed(MAX_LAYER_OFFSET, "a range's offset");
    const length = input.varint(limits.frameBytes, "a range's length");
    ends.set(layer, offset + length);
    return { layer, offset, length };
  });
}

function readFrames(
  input: PlanReader,
  ranges: readonly OrderRange[],
  limits: PlanLimits,
): PackFrame[] {
  let firstRange = 0;
  return list(input, limits.frames, "frames", () => {
    const pack = input.varint(limits.packs, "a frame's pack");
    const offset = input.varint(Number.MAX_SAFE_INTEGER, "a frame's offset");
    const compressedLength = input.varint(
      maxCompressedBytes(limits.frameBytes),
      "a frame's compressed length",
    );
    const rangeCount = input.varint(
      ranges.length - firstRange,
      "a frame's number of ranges",
    );
    let length = 0;
    for (let i = 0; i < rangeCount; i++) {
      length += ranges[firstRange + i]!.length;
    }
    const frame = {
      pack,
      offset,
      compressedLength,
      length,
      digest: readDigest(input),
      firstRange,
      rangeCount,
    };
    firstRange += rangeCount;
    return frame;
  });
}
