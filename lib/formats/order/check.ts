import { OrderError, type OrderErrorCode } from "./errors.ts";
import {
  type LoadOrder,
  MAX_LAYER_OFFSET,
  maxCompressedBytes,
  type OrderRange,
  type PlanLimits,
} from "./model.ts";

/** Holds an order against its rules and the limits. @throws OrderError */
export function checkOrder(order: LoadOrder, limits: PlanLimits): void {
  atMost(order.layers.length, limits.layers, "layers");
  atMost(order.packs.length, limits.packs, "packs");
  atMost(order.frames.length, limits.frames, "frames");
  atMost(order.ranges.length, limits.ranges, "ranges");
  if (new Set(order.layers).size !== order.layers.length) {
    throw bad("value", "it names a layer twice");
  }
  if (
    new Set(order.packs.map(({ digest }) => digest)).size !== order.packs.length
  ) {
    throw bad("value", "it names a pack twice");
  }
  checkRanges(order, limits);
  checkFrames(order, limits);
}

function checkRanges({ layers, ranges }: LoadOrder, limits: PlanLimits): void {
  let total = 0;
  for (const [i, { layer, offset, length }] of ranges.entries()) {
    if (!(layer >= 0 && layer < layers.length)) {
      throw bad("bounds", `range ${i} is of layer ${layer}`);
    }
    if (!(length >= 1 && length <= limits.frameBytes)) {
      throw bad("value", `range ${i} is of ${length} bytes`);
    }
    if (!(offset >= 0 && offset + length <= MAX_LAYER_OFFSET)) {
      throw bad("bounds", `range ${i} begins at ${offset}`);
    }
    total += length;
  }
  atMost(total, limits.totalBytes, "bytes");
  if (overlap(ranges)) throw bad("overlap", "two of its ranges hold one byte");
}

/**
 * Whether two ranges hold a byte together: then, and only then, some range begins before as many have
 * ended. Beginnings and ends are sorted each by themselves, as numbers; this runs on the main thread.
 */
function overlap(ranges: readonly OrderRange[]): boolean {
  const starts = new Float64Array(ranges.length);
  const ends = new Float64Array(ranges.length);
  for (const [i, { layer, offset, length }] of ranges.entries()) {
    // Below 2^53: layers are at most 4096, and a range may end where the next layer begins.
    starts[i] = layer * MAX_LAYER_OFFSET + offset;
    ends[i] = starts[i]! + length;
  }
  starts.sort();
  ends.sort();
  for (let i = 1; i < starts.length; i++) {
    if (starts[i]! < ends[i - 1]!) return true;
  }
  return false;
}

function checkFrames(order: LoadOrder, limits: PlanLimits): void {
  let nextRange = 0;
  for (const [i, frame] of order.frames.entries()) {
    const { length, compressedLength, firstRange, rangeCount } = frame;
    const pack = order.packs[frame.pack];
    if (pack === undefined) {
      throw bad("bounds", `frame ${i} is of pack ${frame.pack}`);
    }
    if (!(frame.offset >= 0 && frame.offset + compressedLength <= pack.size)) {
      throw bad("bounds", `frame ${i} lies outside its pack`);
    }
    if (
      firstRange !== nextRange || !(rangeCount >= 1) ||
      firstRange + rangeCount > order.ranges.length
    ) throw bad("value", `frame ${i} does not hold the ranges that come next`);
    nextRange += rangeCount;
    let bytes = 0;
    for (let at = firstRange; at < nextRange; at++) {
      bytes += order.ranges[at]!.length;
    }
    if (length !== bytes) throw bad("value", `frame ${i} is not its ranges`);
    if (length > limits.frameBytes) {
      throw bad("too-large", `frame ${i} is of ${length} bytes`);
    }
    if (
      !(compressedLength >= 1 && compressedLength <= maxCompressedBytes(length))
    ) {
      throw bad("value", `frame ${i} takes ${compressedLength} bytes`);
    }
  }
}

function atMost(value: number, max: number, what: string): void {
  if (value > max) throw bad("too-large", `${value} ${what}, over ${max}`);
}

function bad(code: OrderErrorCode, detail: string): OrderError {
  return new OrderError(code, `load order: ${detail}`);
}
