/**
 * What the main isolate and the FUSE Workers share in memory. Six structures, made once at start:
 *
 * - `SlotTable`: which slots are served, and where the presence bytes of each lie. Written by the
 *   main isolate only; read by Workers on every request.
 * - the presence arena: a presence byte (`presence/mod.ts` says what it means, who writes it and in
 *   which order) for each span of each served layer. `SlotTable.generation` tells of spans that go.
 * - `SpanStarts`: where those spans begin, so that a Worker that only serves blobs needs no tree.
 * - use marks: a byte for each presence byte, set by whoever reads the span, cleared by whoever wants
 *   to know which spans are used. Losing a mark in a race costs nothing but a wrong guess.
 * - `ReadersAtWork`: a word for each Worker, so that bytes go only when nobody copies them any more.
 * - `RequestRing`: reads a Worker could not answer. Any Worker pushes; the main isolate drains.
 *
 * A Worker blocked in `read(2)` gets no message, so everything it must learn it reads from here.
 * @module
 */

import { MISSING } from "../presence/mod.ts";

const ROW_WORDS = 4;
const EMPTY = 0;
const REMOVED = -1;

/** Row of a slot in the table; valid while `SlotTable.holds(row, slot)`. */
export type SlotRow = number;

/** Open-addressed hash table from slot to the layer's presence bytes. One writer, many readers. */
export class SlotTable {
  readonly #rows: Int32Array;
  readonly #capacity: number;

  /** @param memory made by `SlotTable.allocate`. */
  constructor(readonly memory: SharedArrayBuffer) {
    this.#rows = new Int32Array(memory);
    this.#capacity = this.#rows.length / ROW_WORDS;
  }

  /** Memory for `capacity` layers; room for twice as many rows keeps probes short. */
  static allocate(capacity: number): SharedArrayBuffer {
    return new SharedArrayBuffer(capacity * 2 * ROW_WORDS * 4);
  }

  /** The row of a slot, or -1 when it is not served. */
  find(slot: number): SlotRow {
    for (let step = 0; step < this.#capacity; step++) {
      const row = (this.#home(slot) + step) % this.#capacity;
      const held = Atomics.load(this.#rows, row * ROW_WORDS);
      if (held === (slot | 0)) return row;
      if (held === EMPTY) return -1;
    }
    return -1;
  }

  /** Whether that row still serves that slot. */
  holds(row: SlotRow, slot: number): boolean {
    return Atomics.load(this.#rows, row * ROW_WORDS) === (slot | 0);
  }

  /** First presence byte of the layer in the arena. */
  arenaOffset(row: SlotRow): number {
    return Atomics.load(this.#rows, row * ROW_WORDS + 1) >>> 0;
  }

  /** Presence bytes of the layer. */
  spanCount(row: SlotRow): number {
    return Atomics.load(this.#rows, row * ROW_WORDS + 2) >>> 0;
  }

  /**
   * Changes whenever the row is given up, and whenever spans of its layer are. A reader that sees the
   * same number before and after it looked at presence bytes and read knows that they were this
   * layer's all the while, and that it read no hole.
   */
  generation(row: SlotRow): number {
    return Atomics.load(this.#rows, row * ROW_WORDS + 3);
  }

  /** Starts serving a slot. Main isolate only. @throws RangeError when the table is full. */
  add(slot: number, arenaOffset: number, spanCount: number): void {
    for (let step = 0; step < this.#capacity; step++) {
      const row = (this.#home(slot) + step) % this.#capacity;
      const held = this.#rows[row * ROW_WORDS];
      if (held === EMPTY || held === REMOVED) {
        Atomics.store(this.#rows, row * ROW_WORDS + 1, arenaOffset);
        Atomics.store(this.#rows, row * ROW_WORDS + 2, spanCount);
        // The slot number last: a reader that sees it sees the rest.
        Atomics.store(this.#rows, row * ROW_WORDS, slot);
        return;
      }
    }
    throw new RangeError(`no room for another layer in the slot table`);
  }

  /**
   * Spans of a served layer are MISSING again, and their bytes are about to go: Workers that are
   * reading look again. Main isolate only.
   */
  spansGone(slot: number): void {
    const row = this.find(slot);
    if (row >= 0) Atomics.add(this.#rows, row * ROW_WORDS + 3, 1);
  }

  /** Stops serving a slot. Main isolate only. */
  remove(slot: number): void {
    const row = this.find(slot);
    if (row < 0) return;
    Atomics.add(this.#rows, row * ROW_WORDS + 3, 1);
    Atomics.store(this.#rows, row * ROW_WORDS, REMOVED);
  }

  /** Every served slot, ascending. */
  slots(): number[] {
    const found: number[] = [];
    for (let row = 0; row < this.#capacity; row++) {
      const held = Atomics.load(this.#rows, row * ROW_WORDS);
      if (held !== EMPTY && held !== REMOVED) found.push(held >>> 0);
    }
    return found.sort((a, b) => a - b);
  }

  #home(slot: number): number {
    // Knuth's multiplicative hash spreads consecutive slots.
    return (Math.imul(slot, 0x9e3779b1) >>> 0) % this.#capacity;
  }
}

const GRACE_POLL_MS = 1;

/**
 * Which Workers are between looking at presence bytes and the end of the copy that followed. A reply
 * that the kernel copies straight from the data file cannot be checked afterwards; so whoever takes
 * bytes away first clears their presence, then waits until each Worker has left the read it was in.
 *
 * A Worker's word is odd while it reads. One writer a word.
 */
export class ReadersAtWork {
  readonly #words: Int32Array;

  /** @param memory made by `ReadersAtWork.allocate`. */
  constructor(readonly memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory);
  }

  /** Memory for that many Workers. */
  static allocate(workers: number): SharedArrayBuffer {
    return new SharedArrayBuffer(workers * 4);
  }

  /** Before presence bytes are looked at. */
  enter(worker: number): void {
    Atomics.add(this.#words, worker, 1);
  }

  /** After the bytes were copied. */
  leave(worker: number): void {
    Atomics.add(this.#words, worker, 1);
  }

  /** A Worker broke down, maybe in the middle of a read: it copies nothing any more. */
  abandon(worker: number): void {
    if ((Atomics.load(this.#words, worker) & 1) !== 0) this.leave(worker);
  }

  /** Resolves when no read that is under way now is any more: within microseconds, as a rule. */
  async left(): Promise<void> {
    const seen = Array.from(
      this.#words,
      (_, worker) => Atomics.load(this.#words, worker),
    );
    for (const [worker, word] of seen.entries()) {
      while (
        (word & 1) !== 0 && Atomics.load(this.#words, worker) === word
      ) await new Promise((resolve) => setTimeout(resolve, GRACE_POLL_MS));
    }
  }
}

/** Kinds of ring items. */
export const RING_READ = 0;
export const RING_INTERRUPT = 1;

/** An item of the ring. One instance is reused: copy what you keep. */
export class RingItem {
  kind = RING_READ;
  /** Which FUSE mount to answer. */
  mount = 0;
  uniqueLo = 0;
  uniqueHi = 0;
  slot = 0;
  /** Offset in the layer's data file, bytes. */
  offset = 0;
  /** Bytes wanted. */
  length = 0;
  /** The thread that asks; 0 when it is unknown. */
  thread = 0;
}

const ITEM_WORDS = 9;
const HEAD = 0; // items ever taken
const TAIL = 1; // items ever promised to a pusher
const DOORBELL = 2; // changes with each push
const HEADER_WORDS = 4;

/**
 * A bounded queue from many Workers to one reader. A pusher reserves a place by raising TAIL, fills
 * it, then sets its `ready` word; the reader takes places in order once ready. Counters wrap.
 */
export class RequestRing {
  readonly #words: Int32Array;
  readonly #capacity: number;

  /** @param memory made by `RequestRing.allocate`. */
  constructor(readonly memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory);
    this.#capacity = (this.#words.length - HEADER_WORDS) / ITEM_WORDS;
  }

  /** Memory for `capacity` items, a power of two so that wrapped counters keep their place. */
  static allocate(capacity: number): SharedArrayBuffer {
    return new SharedArrayBuffer((HEADER_WORDS + capacity * ITEM_WORDS) * 4);
  }

  /** Queues an item. Waits while the ring is full: the reader frees places within microseconds. */
  push(item: RingItem): void {
    const words = this.#words;
    let tail: number;
    for (;;) {
      tail = Atomics.load(words, TAIL);
      if (((tail - Atomics.load(words, HEAD)) | 0) >= this.#capacity) {
        Atomics.wait(words, HEAD, Atomics.load(words, HEAD), 1);
        continue;
      }
      if (
        Atomics.compareExchange(words, TAIL, tail, (tail + 1) | 0) === tail
      ) break;
    }
    const at = HEADER_WORDS + ((tail >>> 0) % this.#capacity) * ITEM_WORDS;
    words[at + 1] = item.kind | (item.mount << 8);
    words[at + 2] = item.uniqueLo;
    words[at + 3] = item.uniqueHi;
    words[at + 4] = item.slot;
    words[at + 5] = item.offset | 0;
    words[at + 6] = Math.floor(item.offset / 2 ** 32);
    words[at + 7] = item.length;
    words[at + 8] = item.thread;
    Atomics.store(words, at, 1);
    Atomics.add(words, DOORBELL, 1);
    Atomics.notify(words, DOORBELL);
  }

  /** Takes the oldest item; false when there is none. One reader only. */
  take(into: RingItem): boolean {
    const words = this.#words;
    const head = Atomics.load(words, HEAD);
    const at = HEADER_WORDS + ((head >>> 0) % this.#capacity) * ITEM_WORDS;
    if (Atomics.load(words, at) !== 1) return false;
    const kind = words[at + 1] as number;
    into.kind = kind & 0xff;
    into.mount = kind >> 8;
    into.uniqueLo = (words[at + 2] as number) >>> 0;
    into.uniqueHi = (words[at + 3] as number) >>> 0;
    into.slot = (words[at + 4] as number) >>> 0;
    into.offset = ((words[at + 5] as number) >>> 0) +
      (words[at + 6] as number) * 2 ** 32;
    into.length = words[at + 7] as number;
    into.thread = words[at + 8] as number;
    Atomics.store(words, at, 0);
    Atomics.store(words, HEAD, (head + 1) | 0);
    Atomics.notify(words, HEAD);
    return true;
  }

  /** Resolves when something may have been pushed since `seen` (a value of `doorbell()`). */
  async changed(seen: number): Promise<void> {
    const { async, value } = Atomics.waitAsync(this.#words, DOORBELL, seen);
    if (async) await value;
  }

  /** Counter that changes with each push. */
  doorbell(): number {
    return Atomics.load(this.#words, DOORBELL);
  }

  /** Wakes whoever waits in `changed`, without an item. */
  wake(): void {
    Atomics.add(this.#words, DOORBELL, 1);
    Atomics.notify(this.#words, DOORBELL);
  }
}

/**
 * Where the spans of served layers begin in their data files: a number for each presence byte, and
 * one more for each layer, its data's size. Written by the main isolate before the layer is in the
 * slot table, never changed while it is.
 */
export class SpanStarts {
  readonly #starts: Float64Array;

  /** @param memory made by `SpanStarts.allocate`. */
  constructor(readonly memory: SharedArrayBuffer) {
    this.#starts = new Float64Array(memory);
  }

  /** Memory for the spans of an arena of that many bytes. Takes room only where it is used. */
  static allocate(arenaBytes: number): SharedArrayBuffer {
    return new SharedArrayBuffer(arenaBytes * 8);
  }

  /** Tells of a layer whose presence bytes begin at `arenaOffset`. Main isolate only. */
  write(arenaOffset: number, starts: Float64Array): void {
    this.#starts.set(starts, arenaOffset);
  }

  /** Bytes of the data of a layer of `count` spans. */
  dataBytes(arenaOffset: number, count: number): number {
    return this.#starts[arenaOffset + count] as number;
  }

  /** The span of `count` that holds byte `offset` of the data. */
  spanAt(arenaOffset: number, count: number, offset: number): number {
    let low = 0;
    let high = count - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((this.#starts[arenaOffset + middle] as number) <= offset) {
        low = middle;
      } else high = middle - 1;
    }
    return low;
  }
}

/** How long the bytes of a removed layer stay unused, ms: far longer than any Worker's request. */
const QUARANTINE_MS = 10_000;

interface Run {
  start: number;
  length: number;
}

/**
 * Hands out runs of bytes of the presence arena. Main isolate only.
 *
 * A Worker may be in the middle of a read when its layer is removed. Were the layer's bytes given
 * to another one at once, that read could take the other's PRESENT for its own and serve a hole. So
 * a run is MISSING from its release on, and rests before it is used again.
 */
export class PresenceArena {
  readonly bytes: Uint8Array;
  readonly #quarantineMs: number;
  #free: Run[];
  #resting: (Run & { readonly untilMs: number })[] = [];

  constructor(
    readonly memory: SharedArrayBuffer,
    options: { readonly quarantineMs?: number } = {},
  ) {
    this.bytes = new Uint8Array(memory);
    this.#quarantineMs = options.quarantineMs ?? QUARANTINE_MS;
    this.#free = [{ start: 0, length: this.bytes.length }];
  }

  /** A run of `length` bytes, all MISSING. @throws RangeError when the arena is full. */
  allocate(length: number): number {
    this.#reclaim();
    const at = this.#free.findIndex((run) => run.length >= length);
    const run = this.#free[at];
    if (run === undefined) throw new RangeError("too many spans are mounted");
    const start = run.start;
    run.start += length;
    run.length -= length;
    if (run.length === 0) this.#free.splice(at, 1);
    this.bytes.fill(MISSING, start, start + length);
    return start;
  }

  /** Gives a run back. */
  release(start: number, length: number): void {
    if (length === 0) return;
    this.bytes.fill(MISSING, start, start + length);
    this.#resting.push({
      start,
      length,
      untilMs: performance.now() + this.#quarantineMs,
    });
  }

  /** Frees the runs that have rested, joining neighbours. */
  #reclaim(): void {
    const now = performance.now();
    const rested = this.#resting.filter(({ untilMs }) => untilMs <= now);
    if (rested.length === 0) return;
    this.#resting = this.#resting.filter(({ untilMs }) => untilMs > now);
    const runs = [
      ...this.#free,
      ...rested.map(({ start, length }) => ({ start, length })),
    ].sort((a, b) => a.start - b.start);
    this.#free = [];
    for (const run of runs) {
      const last = this.#free.at(-1);
      if (last !== undefined && last.start + last.length === run.start) {
        last.length += run.length;
      } else this.#free.push(run);
    }
  }
}
