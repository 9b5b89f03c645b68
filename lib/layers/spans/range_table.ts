import type { SpanTable } from "../../formats/ztoc/mod.ts";

/** Bytes of a layer's tar that a start pack brings. */
export interface PackedRange {
  /** The first byte in the uncompressed tar. */
  readonly offset: number;
  /** Bytes. */
  readonly length: number;
  /** Bytes of the packs that have come once it is here, counted from the first that is asked for. */
  readonly packEnd: number;
}

/** Ranges as a table takes them. */
export interface CutRanges {
  /** Ascending. */
  readonly starts: Float64Array;
  /** Of each. */
  readonly ends: Float64Array;
  /** See {@link PackedRange}. */
  readonly packEnds: Float64Array;
}

/** The most pieces of one layer; what is over is not taken from the pack. */
const MAX_PIECES = 131_072;

/**
 * Sorts ranges and cuts them at the borders of spans. What lies outside the tar, or in a range before it, is
 * left out: a plan comes from elsewhere.
 * @param isWanted whether bytes of a span are of use.
 */
export function cutRanges(
  ranges: readonly PackedRange[],
  spans: Pick<SpanTable, "count" | "end" | "spanAt">,
  isWanted: (span: number) => boolean,
): CutRanges {
  const starts: number[] = [];
  const ends: number[] = [];
  const packEnds: number[] = [];
  const dataEnd = spans.count === 0 ? 0 : spans.end(spans.count - 1);
  let at = 0;
  for (const range of ranges.toSorted((a, b) => a.offset - b.offset)) {
    const end = Math.min(range.offset + range.length, dataEnd);
    at = Math.max(at, range.offset);
    while (at < end && starts.length < MAX_PIECES) {
      const span = spans.spanAt(at);
      const to = Math.min(end, spans.end(span));
      if (isWanted(span)) {
        starts.push(at);
        ends.push(to);
        packEnds.push(range.packEnd);
      }
      at = to;
    }
  }
  return {
    starts: Float64Array.from(starts),
    ends: Float64Array.from(ends),
    packEnds: Float64Array.from(packEnds),
  };
}
