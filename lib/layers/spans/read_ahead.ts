/** The most compressed bytes ahead of a reader; `maxBytes` may lower it. */
const MAX_BYTES = 16 * 2 ** 20;
/** Read-ahead is also bounded by what the host delivers in this time, ms. */
const MAX_MS = 1000;
/**
 * So many spans before the one that is asked for must have been read: as many as hold so many bytes, within these
 * bounds. Page faults in one large file often read two small spans whole.
 */
const LEAST_READ = 2;
const LEAST_READ_BYTES = 4 * 2 ** 20;
const MOST_LEAST_READ = 4;
/** A longer run of read spans tells nothing more. */
const MOST_READ = 32;
/**
 * The share of a span that a sequential reader reads at least: headers and padding lie between files. Page
 * faults in large libraries, 128 KiB each, read 40 % of a span or less.
 */
const READ_SHARE = 0.75;
/** The part of a span where a reader that comes from the span before begins. */
const BEGINNING_SHARE = 0.25;

/** What to read ahead: spans `first` to `last`, and the span to watch for the reader. */
export interface Ahead {
  readonly first: number;
  readonly last: number;
  readonly watch: number;
}

/** What `readAhead` must know about a layer. */
export interface ReadLayer {
  readonly count: number;
  /** Where a span begins in the tar, and ends (exclusive). */
  start(span: number): number;
  end(span: number): number;
  compressedStart(span: number): number;
  compressedEnd(span: number): number;
  /** Bytes of a span that were read since it came. */
  readBytes(span: number): number;
  /** The throughput of the layer's host, compressed bytes per ms; 0 while unknown. */
  bytesPerMs(): number;
  /** The most compressed bytes ahead of a reader. */
  readonly maxBytes: number;
}

/**
 * Which spans a reader wants next, if it reads in order. That it does so is seen from what was read of the
 * spans before: nearly all of at least two of them, or four small ones, and now the beginning of the next. Programs that start
 * ask for neighbouring spans in order, too, but read a small part of each: page faults in a library say
 * nothing about the next span.
 *
 * Nothing is remembered. After these one is read ahead, after one more two, after another four, then as many
 * as were read, up to a second's worth of bandwidth. Reads of present spans are not
 * reported. So one span inside each window is *watched*: its next reader asks although the span is present,
 * and the next window is fetched while this one is still being read.
 * @param offset the first byte of the tar that a reader asks for.
 * @param last the last span it asks for.
 */
export function readAhead(
  layer: ReadLayer,
  offset: number,
  last: number,
): Ahead | null {
  if (last + 1 >= layer.count) return null;
  // A read across a border begins the span behind it.
  const size = layer.end(last) - layer.start(last);
  if (offset - layer.start(last) > size * BEGINNING_SHARE) return null;
  const run = spansRead(layer, last);
  const least = leastRead(layer, last);
  if (run < least) return null;
  const rate = layer.bytesPerMs();
  const limit = Math.min(
    MAX_BYTES,
    layer.maxBytes,
    rate === 0 ? Infinity : rate * MAX_MS,
  );
  const next = last + 1;
  let end = Math.min(
    layer.count - 1,
    last + Math.min(run, 2 ** (run - least)),
  );
  while (
    end > next &&
    layer.compressedEnd(end) - layer.compressedStart(next) > limit
  ) end--;
  return { first: next, last: end, watch: next + ((end - next) >> 1) };
}

/** How many spans before that one were read, one after another, up to `MOST_READ`. */
function spansRead(layer: ReadLayer, before: number): number {
  let span = before - 1;
  while (span >= 0 && before - span <= MOST_READ && isRead(layer, span)) span--;
  return before - 1 - span;
}

/** How many spans before that one must have been read. */
function leastRead(layer: ReadLayer, before: number): number {
  let count = LEAST_READ;
  while (
    count < MOST_LEAST_READ && count < before &&
    layer.end(before - 1) - layer.start(before - count) < LEAST_READ_BYTES
  ) count++;
  return count;
}

function isRead(layer: ReadLayer, span: number): boolean {
  const size = layer.end(span) - layer.start(span);
  return layer.readBytes(span) >= size * READ_SHARE;
}
