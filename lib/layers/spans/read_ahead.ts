/** Never more compressed bytes than this are ahead of a reader, nor more than may be. */
const MAX_BYTES = 16 * 2 ** 20;
/** Nor for more than the host gives in this time, ms. */
const MAX_MS = 1000;
/** Readers of one layer that are told apart. */
const MAX_STREAMS = 8;
/**
 * Spans asked for in order before anything is read ahead. Programs that start up read two neighbours
 * now and then without wanting the next: with 2 an import of Python modules fetched 19 % too much.
 */
const LEAST_IN_ORDER = 3;

interface Stream {
  /** The last span that was asked for. */
  at: number;
  /** The first span behind what was read ahead. */
  next: number;
  /** A reader that goes on in order asks for this one at the latest. */
  watch: number;
  /** Spans asked for one after another so far. */
  inOrder: number;
  /** Spans to read ahead at a time; 0 before the first time. */
  window: number;
}

/** What to read ahead: spans `first` to `last`, and where the reader shall tell that it came by. */
export interface Ahead {
  readonly first: number;
  readonly last: number;
  readonly watch: number;
}

/** What `ReadAhead` must know of a layer. */
export interface ReadAheadOptions {
  readonly count: number;
  compressedStart(span: number): number;
  compressedEnd(span: number): number;
  /** What the layer's host gives, compressed bytes a ms; 0 while that is not known. */
  bytesPerMs(): number;
  /** The most bytes to have ahead of a reader. */
  readonly maxBytes: number;
}

/**
 * Guesses which spans a reader wants next. A reader that took three spans one after another gets the
 * following ones before it asks: one, then two, four, … up to a second of the line. It is told apart from
 * random reading by the spans it asks for alone; the first jump elsewhere starts over with nothing.
 *
 * Reads of spans that are here are not seen, so one span inside each window is *watched*: its next
 * reader asks although it is here, and the window after is fetched while this one is still read.
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
