/** Bytes given on at a time of a part that is larger than `WHOLE_PIECE_BYTES`. */
const PIECE_BYTES = 2 ** 20;
/** A part up to this size is given on as it is. */
const WHOLE_PIECE_BYTES = 4 * PIECE_BYTES;

/** A part that waits in its place. */
interface Held {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly place: Disposable;
}

/** Some bytes of a part, and the place that is free when whoever reads comes again. */
export interface HeldPiece {
  /** The reader's. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Default: it stays taken, or is free. */
  readonly place: Disposable | null;
}

/** Parts of a blob that came, and wait in memory for whoever reads in order. */
export class HeldParts {
  readonly #held = new Map<number, Held>();
  readonly #give: (bytes: Uint8Array) => void;

  /** Holds nothing yet. @param give takes memory back. */
  constructor(give: (bytes: Uint8Array) => void) {
    this.#give = give;
  }

  /** A part waits here; it and its place are ours. */
  hold(part: number, bytes: Uint8Array<ArrayBuffer>, place: Disposable): void {
    this.#held.set(part, { bytes, place });
  }

  /** What is read next of a part. @param from in it, bytes. @returns null where it is not here. */
  take(part: number, from: number): HeldPiece | null {
    const held = this.#held.get(part);
    if (held === undefined) return null;
    if (from === 0 && held.bytes.length <= WHOLE_PIECE_BYTES) {
      this.#held.delete(part); // not copied: its memory is the reader's
      return held;
    }
    const bytes = held.bytes.slice(from, from + PIECE_BYTES);
    if (from + bytes.length === held.bytes.length) this.#free(part, held);
    return { bytes, place: null };
  }

  /** Frees what waits from a part on. */
  drop(from: number): void {
    for (const [part, held] of this.#held) {
      if (part >= from) this.#free(part, held);
    }
  }

  #free(part: number, { bytes, place }: Held): void {
    this.#held.delete(part);
    this.#give(bytes);
    place[Symbol.dispose]();
  }
}
