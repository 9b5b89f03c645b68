/**
 * Passes bytes from one isolate to another through shared memory: one writer that must not block, one
 * reader that blocks. A message per chunk would cost 130 µs on each side (a tenth of a core at the speed
 * at which layers are indexed) and leave its buffers to the garbage collector.
 *
 * Both sides count bytes modulo 2^32; the difference is the number of bytes in the ring.
 * @module
 */

/** What both sides share; it can be posted. */
export interface RingMemory {
  readonly control: SharedArrayBuffer;
  readonly data: SharedArrayBuffer;
}

const WRITTEN = 0;
const READ = 1;
/** 0 while bytes may come, then one of `ENDED` and `GIVEN_UP`. */
const STATE = 2;
const ENDED = 1;
const GIVEN_UP = 2;
/**
 * Doorbells: the sleeper reads the count, checks whether there is something to do, and sleeps only while
 * the count is unchanged. So it misses nothing that happens in between.
 */
const FOR_READER = 3;
const FOR_WRITER = 4;
const WORDS = 5;

/** Bytes the ring holds: enough to keep a reader busy, few enough for many rings. A power of two. */
const CAPACITY_BYTES = 4 * 2 ** 20;

/** New memory for one ring. */
export function ringMemory(): RingMemory {
  return {
    control: new SharedArrayBuffer(4 * WORDS),
    data: new SharedArrayBuffer(CAPACITY_BYTES),
  };
}

/** The writing end. */
export class RingWriter {
  readonly #control: Int32Array<SharedArrayBuffer>;
  readonly #data: Uint8Array<SharedArrayBuffer>;

  constructor({ control, data }: RingMemory) {
    this.#control = new Int32Array(control);
    this.#data = new Uint8Array(data);
  }

  /** Puts bytes in, waiting for room. @returns false when the reader wants no more. */
  async write(bytes: Uint8Array): Promise<boolean> {
    for (let from = 0; from < bytes.length;) {
      const bell = Atomics.load(this.#control, FOR_WRITER);
      if (Atomics.load(this.#control, STATE) !== 0) return false;
      const read = Atomics.load(this.#control, READ);
      const written = Atomics.load(this.#control, WRITTEN);
      const place = (written >>> 0) % CAPACITY_BYTES;
      const room = Math.min(
        CAPACITY_BYTES - ((written - read) >>> 0),
        CAPACITY_BYTES - place,
        bytes.length - from,
      );
      if (room === 0) {
        await Atomics.waitAsync(this.#control, FOR_WRITER, bell).value;
        continue;
      }
      this.#data.set(bytes.subarray(from, from + room), place);
      from += room;
      Atomics.store(this.#control, WRITTEN, written + room);
      ring(this.#control, FOR_READER);
    }
    return Atomics.load(this.#control, STATE) === 0;
  }

  /** Says that all bytes are in. */
  end(): void {
    this.#stop(ENDED);
  }

  /** Ends the ring early; the reader must discard what it got. */
  giveUp(): void {
    this.#stop(GIVEN_UP);
  }

  #stop(state: number): void {
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
export type RingEnd = "ended" | "given-up";

/** The reading end. */
export class RingReader {
  readonly #control: Int32Array<SharedArrayBuffer>;
  readonly #data: Uint8Array<SharedArrayBuffer>;
  /** Bytes are copied here, because most platform APIs do not accept shared memory. */
  readonly #piece = new Uint8Array(PIECE_BYTES);

  constructor({ control, data }: RingMemory) {
    this.#control = new Int32Array(control);
    this.#data = new Uint8Array(data);
  }

  /** Blocks until the ring has ended; `take` gets each piece, which is valid during the call. */
  readAll(take: (piece: Uint8Array<ArrayBuffer>) => void): RingEnd {
    for (;;) {
      const bell = Atomics.load(this.#control, FOR_READER);
      const state = Atomics.load(this.#control, STATE);
      const written = Atomics.load(this.#control, WRITTEN);
      const read = Atomics.load(this.#control, READ);
      const place = (read >>> 0) % CAPACITY_BYTES;
      const count = Math.min(
        (written - read) >>> 0,
        CAPACITY_BYTES - place,
        PIECE_BYTES,
      );
      if (state === GIVEN_UP) return "given-up";
      if (count === 0) {
        if (state === ENDED) return "ended";
        Atomics.wait(this.#control, FOR_READER, bell);
        continue;
      }
      const piece = this.#piece.subarray(0, count);
      piece.set(this.#data.subarray(place, place + count));
      Atomics.store(this.#control, READ, read + count);
      ring(this.#control, FOR_WRITER);
      take(piece);
    }
  }

  /** Says that no more bytes are wanted. */
  stop(): void {
    Atomics.compareExchange(this.#control, STATE, 0, GIVEN_UP);
    ring(this.#control, FOR_WRITER);
  }
}

/**
 * Bytes taken at once: few enough to stay in the processor's cache while they are hashed and inflated.
 */
const PIECE_BYTES = 256 * 1024;
