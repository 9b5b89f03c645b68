import type { Digest } from "../oci/mod.ts";
import {
  decodeCheckpoints,
  decodeTarSpans,
  type ZtocCheckpoint,
} from "./checkpoints.ts";
import { ZtocError } from "./errors.ts";
import { checkSpanSize, type Ztoc } from "./model.ts";
import { Windows } from "./windows.ts";

/**
 * The spans of one layer, in both of its coordinates. A span is the smallest piece that can be
 * fetched, verified and inflated by itself. In the tar, spans touch and do not overlap; in the blob
 * of a gzip layer two neighbours share a byte when a span begins in its middle.
 */
export interface SpanTable {
  /**
   * Spans that hold bytes of the tar. The ztoc may list more: gzip files written by Go often end in
   * an empty block, before which a checkpoint may lie, and tars may be padded behind their end.
   */
  readonly count: number;
  /**
   * Spans of the ztoc before the first one here, which hold nothing: the existing tools note the
   * beginning of every empty gzip member that a layer begins with. Prefetch lists count them.
   */
  readonly first: number;
  /** First byte of the span in the blob, the shared byte included. */
  compressedStart(span: number): number;
  /** End (exclusive) in the blob. */
  compressedEnd(span: number): number;
  /** First byte of the span in the uncompressed tar. */
  start(span: number): number;
  /** End (exclusive) in the tar; the last span ends with it, though more may follow in the stream. */
  end(span: number): number;
  /** High bits of the first compressed byte that belong to the span; 0: all of it. */
  bits(span: number): number;
  /** The 32 KiB before the span, to inflate it with, not to be changed; null for uncompressed layers. */
  window(span: number): Uint8Array | null;
  /**
   * Makes the next window smaller in memory, in about half a ms: for times of rest.
   * @returns false when none is left.
   */
  packNext(): boolean;
  /** Of the span's compressed bytes. */
  digest(span: number): Digest;
  /** The span that holds a byte of the tar. @throws RangeError outside the layer. */
  spanAt(offset: number): number;
}

/**
 * The spans of a ztoc, with every range checked: they ascend, lie inside the layer, and are as many
 * as there are digests. Keeps a copy of the windows and digests, nothing of the files.
 * @throws ZtocError
 */
export function spanTable(ztoc: Ztoc): SpanTable {
  return ztoc.compression === "gzip" ? gzipSpans(ztoc) : tarSpans(ztoc);
}

function checkCount(ztoc: Ztoc, count: number): void {
  if (ztoc.spanDigests.length !== count) {
    throw new ZtocError(
      "count",
      -1,
      `${ztoc.spanDigests.length} digests for ${count} spans`,
    );
  }
}

function checkInside(size: number, offset: number): void {
  if (!(offset >= 0 && offset < size)) {
    throw new RangeError(`offset ${offset} is outside the layer`);
  }
}

/** Checkpoints ascend in blob and tar, but for those at the tar's very beginning. */
function checkOrder(
  checkpoints: readonly ZtocCheckpoint[],
  compressedSize: number,
): void {
  let last = { in: 0, out: 0 };
  for (const [i, checkpoint] of checkpoints.entries()) {
    const { in: input, out } = checkpoint;
    const fits = input > last.in && input <= compressedSize &&
      (out > last.out ? i > 0 : out === 0 && last.out === 0);
    if (!fits) {
      throw new ZtocError(
        "order",
        -1,
        `checkpoint ${i} at ${input}/${out} does not fit`,
      );
    }
    last = checkpoint;
  }
}

function gzipSpans(ztoc: Ztoc): SpanTable {
  const listed = decodeCheckpoints(ztoc.checkpoints).checkpoints;
  checkCount(ztoc, listed.length);
  checkOrder(listed, ztoc.compressedSize);
  const first = listed.findLastIndex(({ out }) => out === 0);
  const checkpoints = listed.slice(first);
  const spanDigests = ztoc.spanDigests.slice(first);
  // A copy, so that the rest of the ztoc, which is mostly names, need not stay.
  const windows = new Windows(checkpoints);
  const bits = Uint8Array.from(checkpoints, ({ bits }) => bits);
  const { compressedSize, uncompressedSize } = ztoc;
  const inputs = new Float64Array(checkpoints.length + 1);
  const outputs = new Float64Array(checkpoints.length + 1);
  let count = 0;
  for (let i = 0; i < checkpoints.length; i++) {
    const checkpoint = checkpoints[i]!;
    inputs[i] = checkpoint.in;
    outputs[i] = checkpoint.out;
    if (checkpoint.out < uncompressedSize) count++;
  }
  inputs[checkpoints.length] = compressedSize;
  outputs[count] = uncompressedSize;
  for (let span = 0; span < count; span++) {
    checkSpanSize(span, inputs[span + 1]! - inputs[span]!);
    checkSpanSize(span, outputs[span + 1]! - outputs[span]!);
  }
  return {
    count,
    first,
    compressedStart: (i) => inputs[i]! - (bits[i] === 0 ? 0 : 1),
    compressedEnd: (i) => inputs[i + 1]!,
    start: (i) => outputs[i]!,
    end: (i) => outputs[i + 1]!,
    bits: (i) => bits[i]!,
    window: (i) => windows.get(i),
    packNext: () => windows.packNext(),
    digest: (i) => spanDigests[i]!,
    spanAt: (offset) => {
      checkInside(uncompressedSize, offset);
      let low = 0;
      let high = count;
      while (high - low > 1) {
        const middle = (low + high) >>> 1;
        if (outputs[middle]! <= offset) low = middle;
        else high = middle;
      }
      return low;
    },
  };
}

function tarSpans(ztoc: Ztoc): SpanTable {
  const { spanSize, size } = decodeTarSpans(ztoc.checkpoints);
  const { compressedSize, uncompressedSize, spanDigests } = ztoc;
  if (size !== compressedSize || uncompressedSize > size) {
    throw new ZtocError(
      "count",
      -1,
      `tar of ${uncompressedSize} in ${size} bytes, blob of ${compressedSize}`,
    );
  }
  checkCount(ztoc, Math.ceil(size / spanSize));
  checkSpanSize(0, Math.min(size, spanSize));
  const start = (i: number) => i * spanSize;
  const end = (i: number) => Math.min((i + 1) * spanSize, size);
  return {
    count: Math.ceil(uncompressedSize / spanSize),
    first: 0,
    compressedStart: start,
    compressedEnd: end,
    start,
    end: (i) => Math.min(end(i), uncompressedSize),
    bits: () => 0,
    window: () => null,
    packNext: () => false,
    digest: (i) => spanDigests[i]!,
    spanAt: (offset) => {
      checkInside(uncompressedSize, offset);
      return Math.floor(offset / spanSize);
    },
  };
}
