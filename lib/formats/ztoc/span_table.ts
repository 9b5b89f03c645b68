import { Buffer } from "node:buffer";
import type { Digest } from "../oci/mod.ts";
import type { ZtocHead } from "./model.ts";
import { DIGEST_BYTES, type SpanFacts, spanFacts } from "./span_facts.ts";
import { type WindowFacts, Windows } from "./windows.ts";

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
  /** Spans that the ztoc lists, from the first one here. Those from `count` on hold only what follows the tar. */
  readonly listed: number;
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
  /** The 32 KiB before the span, to inflate it with, not to be changed; null for layers that are not gzip. */
  window(span: number): Uint8Array | null;
  /** Takes the windows of the whole ztoc, where the table was made of its head alone. */
  putWindows(windows: WindowFacts): void;
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
 * The spans of a ztoc, checked as by `spanFacts`. Keeps a copy of the windows and digests, nothing of
 * the files.
 * @throws ZtocError
 */
export function spanTable(ztoc: ZtocHead): SpanTable {
  return openSpans(spanFacts(ztoc, { windows: "copied" }));
}

/** The table over facts that were checked; keeps them. */
export function openSpans(facts: SpanFacts): SpanTable {
  return facts.compression === "uncompressed"
    ? tarSpans(facts)
    : packedSpans(facts);
}

function checkInside(size: number, offset: number): void {
  if (!(offset >= 0 && offset < size)) {
    throw new RangeError(`offset ${offset} is outside the layer`);
  }
}

/** A span's digest as text: kept as bytes, as a layer may have a quarter of a million. */
function digestOf(digests: SpanFacts["digests"], span: number): Digest {
  const at = span * DIGEST_BYTES;
  const bytes = Buffer.from(digests.buffer, at, DIGEST_BYTES);
  return `sha256:${bytes.toString("hex")}` as Digest;
}

/** Its functions keep what they use of the facts, and not the facts: windows go once they are packed. */
function packedSpans(facts: SpanFacts): SpanTable {
  const { count, first, inputs, outputs, bits, digests } = facts;
  const { uncompressedSize } = facts;
  const windows = facts.compression === "gzip"
    ? new Windows(facts.windows)
    : null;
  return {
    count,
    first,
    listed: digests.length / DIGEST_BYTES,
    compressedStart: (i) => inputs[i]! - (bits[i] === 0 ? 0 : 1),
    compressedEnd: (i) => inputs[i + 1]!,
    start: (i) => outputs[i]!,
    end: (i) => outputs[i + 1]!,
    bits: (i) => bits[i]!,
    window: (i) => windows?.get(i) ?? null,
    putWindows: (facts) => windows?.put(facts),
    packNext: () => windows?.packNext() ?? false,
    digest: (i) => digestOf(digests, i),
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

function tarSpans(facts: SpanFacts): SpanTable {
  const { count, spanSize, digests, uncompressedSize } = facts;
  const { compressedSize: size } = facts;
  const start = (i: number) => i * spanSize;
  const end = (i: number) => Math.min((i + 1) * spanSize, size);
  return {
    count,
    first: 0,
    listed: digests.length / DIGEST_BYTES,
    compressedStart: start,
    compressedEnd: end,
    start,
    end: (i) => Math.min(end(i), uncompressedSize),
    bits: () => 0,
    window: () => null,
    putWindows: () => {},
    packNext: () => false,
    digest: (i) => digestOf(digests, i),
    spanAt: (offset) => {
      checkInside(uncompressedSize, offset);
      return Math.floor(offset / spanSize);
    },
  };
}
