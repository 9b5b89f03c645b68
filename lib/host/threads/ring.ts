/**
 * Passes bytes from one isolate to another through shared memory: one writer that must not block, one
 * reader that blocks or waits. A message per chunk would cost 130 µs on each side (a tenth of a core at the
 * speed at which layers are indexed) and leave its buffers to the garbage collector.
 *
 * Both sides count bytes modulo 2^32; the difference is the number of bytes in the ring.
 * @module
 */

/** What both sides share; it can be posted. */
export interface RingMemory {
  /** Counts, state and doorbells. */
  readonly control: SharedArrayBuffer;
  /** The bytes; its length is a power of two. */
  readonly data: SharedArrayBuffer;
}

const WRITTEN = 0;
const READ = 1;
/** 0 while bytes may come, then one of `ENDED`, `GIVEN_UP` and `BROKEN`. */
const STATE = 2;
const ENDED = 1;
const GIVEN_UP = 2;
/** The bytes that are in are right, and no more come. */
const BROKEN = 3;
/**
 * Doorbells: the sleeper reads the count, checks whether there is something to do, and sleeps only while
 * the count is unchanged. So it misses nothing that happens in between.
 */
const FOR_READER = 3;
const FOR_WRITER = 4;
const WORDS = 5;

/** Bytes a ring holds: enough to keep a reader busy, few enough for many rings. A power of two. */
const CAPACITY_BYTES = 4 * 2 ** 20;

/** New memory for one ring. @param capacityBytes a power of two */
export function ringMemory(capacityBytes: number = CAPACITY_BYTES): RingMemory {
  return {
    control: new SharedArrayBuffer(4 * WORDS),
    data: new SharedArrayBuffer(capacityBytes),
  };
}

/** Makes memory as new. Neither end may use it any more. */
export function renewRing({ control }: RingMemory): void {
  new Int32Array(control).fill(0);
}

/** When a reader that waits is woken. To wake a thread costs as much as to copy half a MB. */
export interface WakingOptions {
  /** As soon as so many bytes are here. */
  readonly wakeAtBytes: number;
  /** So long after the first of them came at the latest, ms. */
  readonly lullMs: number;
}

/** The writing end. */
export class RingWriter {
  readonly #control: Int32Array<SharedArrayBuffer>;
  readonly #data: Uint8Array<SharedArrayBuffer>;
  readonly #waking: WakingOptions;
  #lull: ReturnType<typeof setTimeout> | undefined;

  /** Writes into new memory. @param waking default: at every byte. */
  constructor(
    { control, data }: RingMemory,
    waking: WakingOptions = { wakeAtBytes: 1, lullMs: 0 },
  ) {
    this.#control = new Int32Array(control);
    this.#data = new Uint8Array(data);
    this.#waking = waking;
  }

  /** Puts bytes in, waiting for room. @returns false when the reader wants no more. */
  async write(bytes: Uint8Array): Promise<boolean> {
    for (let from = 0; from < bytes.length;) {
      const bell = Atomics.load(this.#control, FOR_WRITER);
      if (Atomics.load(this.#control, STATE) !== 0) return false;
      const read = Atomics.load(this.#control, READ);
      const written = Atomics.load(this.#control, WRITTEN);
      const capacity = this.#data.length;
      const place = (written >>> 0) % capacity;
      const room = Math.min(
        capacity - ((written - read) >>> 0),
        capacity - place,
        bytes.length - from,
      );
      if (room === 0) {
        await Atomics.waitAsync(this.#control, FOR_WRITER, bell).value;
        continue;
      }
      this.#data.set(bytes.subarray(from, from + room), place);
      from += room;
      Atomics.store(this.#control, WRITTEN, written + room);
      this.#wake((written + room - read) >>> 0);
    }
    return Atomics.load(this.#control, STATE) === 0;
  }

  #wake(hereBytes: number): void {
    const { wakeAtBytes, lullMs } = this.#waking;
    if (hereBytes >= wakeAtBytes) {
      ring(this.#control, FOR_READER);
      return;
    }
    this.#lull ??= setTimeout(() => {
      this.#lull = undefined;
      ring(this.#control, FOR_READER);
    }, lullMs);
  }

  /** Says that all bytes are in. */
  end(): void {
    this.#stop(ENDED);
  }

  /** Ends the ring early; what is in it is right. */
  break(): void {
    this.#stop(BROKEN);
  }

  /** Ends the ring early; the reader must discard what it got. */
  giveUp(): void {
    this.#stop(GIVEN_UP);
  }

  #stop(state: number): void {
    clearTimeout(this.#lull);
    Atomics.compareExchange(this.#control, STATE, 0, state);
    ring(this.#control, FOR_READER);
    ring(this.#control, FOR_WRITER); // a last write may still wait for a reader that is gone
  }
}

function ring(control: Int32Array<SharedArrayBuffer>, bell: number): void {
  Atomics.add(control, bell, 1);
  Atomics.notify(control, bell);
}

/** How a ring came to its end. */
export type RingEnd = "ended" | "given-up" | "broken";

const ENDS: Readonly<Record<number, RingEnd>> = {
  [ENDED]: "ended",
  [GIVEN_UP]: "given-up",
  [BROKEN]: "broken",
};

/** The reading end. */
export class RingReader {
  readonly #control: Int32Array<SharedArrayBuffer>;
  readonly #data: Uint8Array<SharedArrayBuffer>;

  /** Reads what the other end writes. */
  constructor({ control, data }: RingMemory) {
    this.#control = new Int32Array(control);
    this.#data = new Uint8Array(data);
  }

  /** Blocks until the ring has ended; `take` gets each piece, which is valid during the call. */
  readAll(take: (piece: Uint8Array<ArrayBuffer>) => void): RingEnd {
    // Bytes are copied here, because most platform APIs do not accept shared memory.
    const own = new Uint8Array(PIECE_BYTES);
    for (;;) {
      const bell = Atomics.load(this.#control, FOR_READER);
      const state = Atomics.load(this.#control, STATE);
      const written = Atomics.load(this.#control, WRITTEN);
      const read = Atomics.load(this.#control, READ);
      const place = (read >>> 0) % this.#data.length;
      const count = Math.min(
        (written - read) >>> 0,
        this.#data.length - place,
        PIECE_BYTES,
      );
      if (state === GIVEN_UP) return "given-up";
      if (count === 0) {
        if (state !== 0) return ENDS[state]!;
        Atomics.wait(this.#control, FOR_READER, bell);
        continue;
      }
      const piece = own.subarray(0, count);
      piece.set(this.#data.subarray(place, place + count));
      this.#took(read, count);
      take(piece);
    }
  }

  /**
   * Waits until bytes are here, without blocking.
   * @returns how many can be taken at once, or how the ring ended.
   */
  async come(): Promise<number | RingEnd> {
    for (;;) {
      const bell = Atomics.load(this.#control, FOR_READER);
      const state = Atomics.load(this.#control, STATE);
      const written = Atomics.load(this.#control, WRITTEN);
      const read = Atomics.load(this.#control, READ);
      if (state === GIVEN_UP) return "given-up";
      const count = Math.min(
        (written - read) >>> 0,
        this.#data.length - (read >>> 0) % this.#data.length,
      );
      if (count > 0) return count;
      if (state !== 0) return ENDS[state]!;
      await Atomics.waitAsync(this.#control, FOR_READER, bell).value;
    }
  }

  /** Takes as many bytes as fit. @param into no longer than what `come` said */
  take(into: Uint8Array): void {
    const read = Atomics.load(this.#control, READ);
    const place = (read >>> 0) % this.#data.length;
    into.set(this.#data.subarray(place, place + into.length));
    this.#took(read, into.length);
  }

  /**
   * Makes room. A writer waits only while the ring is full. It is woken when half of it is free: to be woken for each
   * piece would cost it more than to write one. Whoever sees the ring full has written what `left` counts.
   */
  #took(read: number, count: number): void {
    Atomics.store(this.#control, READ, read + count);
    const written = Atomics.load(this.#control, WRITTEN);
    const left = (written - read - count) >>> 0;
    const half = this.#data.length / 2;
    if (left <= half && left + count > half) ring(this.#control, FOR_WRITER);
  }

  /** Says that no more bytes are wanted. */
  stop(): void {
    Atomics.compareExchange(this.#control, STATE, 0, GIVEN_UP);
    ring(this.#control, FOR_WRITER);
    ring(this.#control, FOR_READER); // it may wait itself
  }
}

/**
 * Bytes taken at once: few enough to stay in the processor's cache while they are hashed and inflated.
 */
const PIECE_BYTES = 256 * 1024;
