/** Items between the Workers and the main isolate; a power of two. Drained ten times a second. */
const CAPACITY = 32_768;
const HEAD = 0; // items ever taken
const TAIL = 1; // items ever reserved by a writer
const LOST = 2; // items that found no room
const HEADER_BYTES = 16;
const ITEM_BYTES = 40;
const ITEM_WORDS = ITEM_BYTES / 4;
const ITEM_FLOATS = ITEM_BYTES / 8;

/** One read of a layer that is being recorded. */
export interface TracedRead {
  /** The layer. */
  readonly slot: number;
  /** In its data file, which is the uncompressed tar. */
  readonly offset: number;
  /** Bytes. */
  readonly length: number;
  /** When it was asked, ms since the epoch. */
  readonly atMs: number;
  /** How long the reader waited for missing bytes, ms; 0 where all were here. */
  readonly waitedMs: number;
}

/**
 * Reads of the layers that are being recorded, from the Workers to the main isolate. A byte for each row
 * of the slot table says whether its layer is: where nothing is recorded, a read costs the load of that
 * byte.
 *
 * Any isolate writes; the main isolate takes. A writer never waits: what finds no room is counted and
 * lost, since a recording is never worth a slower read.
 */
export class ReadTrace {
  /** One for each row of the slot table: 1 while its layer is recorded. The main isolate sets them. */
  readonly marks: Uint8Array<SharedArrayBuffer>;
  readonly #words: Int32Array;
  readonly #floats: Float64Array;

  /** One isolate's view of it. @param memory made by `ReadTrace.allocate`. */
  constructor(readonly memory: SharedArrayBuffer) {
    const items = HEADER_BYTES + CAPACITY * ITEM_BYTES;
    this.#words = new Int32Array(memory, 0, items / 4);
    this.#floats = new Float64Array(memory, 0, items / 8);
    this.marks = new Uint8Array(memory, items);
  }

  /** Memory for a slot table of so many rows. */
  static allocate(rows: number): SharedArrayBuffer {
    return new SharedArrayBuffer(HEADER_BYTES + CAPACITY * ITEM_BYTES + rows);
  }

  /** The present moment as `TracedRead.atMs` counts it. */
  static now(): number {
    return performance.timeOrigin + performance.now();
  }

  /** Adds a read. */
  add(
    slot: number,
    offset: number,
    length: number,
    atMs: number,
    waitedMs: number,
  ): void {
    const words = this.#words;
    let tail: number;
    do {
      tail = Atomics.load(words, TAIL);
      if (((tail - Atomics.load(words, HEAD)) | 0) >= CAPACITY) {
        Atomics.add(words, LOST, 1);
        return;
      }
    } while (
      Atomics.compareExchange(words, TAIL, tail, (tail + 1) | 0) !== tail
    );
    const nth = (tail >>> 0) % CAPACITY;
    const word = HEADER_BYTES / 4 + nth * ITEM_WORDS;
    const float = HEADER_BYTES / 8 + nth * ITEM_FLOATS;
    words[word + 1] = slot;
    this.#floats[float + 1] = offset;
    this.#floats[float + 2] = length;
    this.#floats[float + 3] = atMs;
    this.#floats[float + 4] = waitedMs;
    Atomics.store(words, word, 1); // the rest is written: it may be taken
  }

  /** Takes the oldest read; null when there is none. Main isolate only. */
  take(): TracedRead | null {
    const words = this.#words;
    const head = Atomics.load(words, HEAD);
    const nth = (head >>> 0) % CAPACITY;
    const word = HEADER_BYTES / 4 + nth * ITEM_WORDS;
    const float = HEADER_BYTES / 8 + nth * ITEM_FLOATS;
    if (Atomics.load(words, word) !== 1) return null;
    const read = {
      slot: words[word + 1]! >>> 0,
      offset: this.#floats[float + 1]!,
      length: this.#floats[float + 2]!,
      atMs: this.#floats[float + 3]!,
      waitedMs: this.#floats[float + 4]!,
    };
    Atomics.store(words, word, 0);
    Atomics.store(words, HEAD, (head + 1) | 0);
    return read;
  }

  /** Reads lost so far, for want of room. */
  get lost(): number {
    return Atomics.load(this.#words, LOST) >>> 0;
  }
}
