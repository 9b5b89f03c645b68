/** The most compressed bytes ahead of a reader; `maxBytes` may lower it. */
const MAX_BYTES = 16 * 2 ** 20;
/** Read-ahead is also bounded by what the host delivers in this time, ms. */
const MAX_MS = 1000;
/** The most concurrent readers of one layer that are tracked separately. */
const MAX_STREAMS = 8;
/**
 * Sequential spans before read-ahead begins. Programs that start up sometimes read two neighbours
 * without wanting the next: with 2, an import of Python modules fetched 19 % too much.
 */
const LEAST_IN_ORDER = 3;

interface Stream {
  /** The last requested span. */
  at: number;
  /** The first span after those that were read ahead. */
  next: number;
  /** The watched span: a sequential reader triggers the next read-ahead here at the latest. */
  watch: number;
  /** Spans read sequentially so far. */
  inOrder: number;
  /** Spans to read ahead at a time; 0 before the first time. */
  window: number;
}

/** What to read ahead: spans `first` to `last`, and the span to watch for the reader. */
export interface Ahead {
  readonly first: number;
  readonly last: number;
  readonly watch: number;
}

/** What `ReadAhead` must know about a layer. */
export interface ReadAheadOptions {
  readonly count: number;
  compressedStart(span: number): number;
  compressedEnd(span: number): number;
  /** The throughput of the layer's host, compressed bytes per ms; 0 while unknown. */
  bytesPerMs(): number;
  /** The most compressed bytes ahead of a reader. */
  readonly maxBytes: number;
}

/**
 * Guesses which spans a reader wants next. For a reader that read three spans in sequence, the following
 * ones are fetched before it asks: one, then two, four, … up to one second's worth of bandwidth. Only
 * the requested spans tell sequential from random reading; after a jump the window starts again at zero.
 *
 * Reads of present spans are not reported. So one span inside each window is *watched*: its next reader
 * asks although the span is present, and the next window is fetched while this one is still being read.
 */
export class ReadAhead {
  readonly #options: ReadAheadOptions;
  /** Most recent first. */
  #streams: Stream[] = [];

  constructor(options: ReadAheadOptions) {
    this.#options = options;
  }

  /** A reader asks for spans `first` to `last`. */
  asked(first: number, last: number): Ahead | null {
    const stream = this.#streams.find(({ at, watch }) =>
      first >= at && first <= Math.max(at + 1, watch)
    );
    if (stream === undefined) {
      const inOrder = last - first + 1;
      this.#streams.unshift({
        at: last,
        next: last + 1,
        watch: last + 1,
        inOrder,
        window: 0,
      });
      this.#streams.length = Math.min(this.#streams.length, MAX_STREAMS);
      return null;
    }
    this.#streams = [stream, ...this.#streams.filter((s) => s !== stream)];
    if (last <= stream.at) return null; // the same span again
    stream.inOrder += last - stream.at;
    stream.at = last;
    stream.next = Math.max(stream.next, last + 1);
    if (stream.inOrder < LEAST_IN_ORDER) return null;
    stream.window = Math.max(1, stream.window * 2);
    return this.#extend(stream);
  }

  #extend(stream: Stream): Ahead | null {
    const { count, compressedStart, compressedEnd, bytesPerMs } = this.#options;
    const rate = bytesPerMs();
    const limit = Math.min(
      MAX_BYTES,
      this.#options.maxBytes,
      rate === 0 ? Infinity : rate * MAX_MS,
    );
    const { at, next: first } = stream;
    let last = Math.min(count - 1, at + stream.window);
    while (
      last > at + 1 && compressedEnd(last) - compressedStart(at + 1) > limit
    ) last--;
    stream.window = Math.max(1, last - at);
    if (last < first) return null;
    stream.next = last + 1;
    stream.watch = first + ((last - first) >> 1);
    return { first, last, watch: stream.watch };
  }
}
