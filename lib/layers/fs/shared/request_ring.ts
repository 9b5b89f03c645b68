/** Kind of a ring item: a read whose bytes are missing. */
export const RING_READ = 0;
/** Kind of a ring item: the thread that waits for the read with that `unique` got a signal. */
export const RING_INTERRUPT = 1;

/** An item of the ring. One instance is reused: copy what you keep. */
export class RingItem {
  /** `RING_READ` or `RING_INTERRUPT`. */
  kind: number = RING_READ;
  /** Which FUSE mount to answer. */
  mount = 0;
  /** Low half of the number the kernel gave the request. */
  uniqueLo = 0;
  /** High half of it. */
  uniqueHi = 0;
  /** The layer that is read. */
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
const TAIL = 1; // items ever reserved by a pusher
const DOORBELL = 2; // changes with each push
const HEADER_WORDS = 4;

/**
 * A bounded queue from many Workers to one reader. A pusher reserves a place by raising TAIL, fills it,
 * then sets its `ready` word. The reader takes ready places in order. Counters wrap around.
 */
export class RequestRing {
  readonly #words: Int32Array;
  readonly #capacity: number;

  /** One isolate's view of it. @param memory made by `RequestRing.allocate`. */
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

  /** Wakes the waiter in `changed`, without an item. */
  wake(): void {
    Atomics.add(this.#words, DOORBELL, 1);
    Atomics.notify(this.#words, DOORBELL);
  }
}
