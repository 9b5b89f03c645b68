import { createHash, type Hash } from "node:crypto";
import type { Digest } from "../oci/mod.ts";

/**
 * How far before the newest byte a span may begin: the inflater has read that byte before it reports a
 * checkpoint further back. The most it holds is a gzip header, of under 200 KiB.
 */
const LOOK_BACK_BYTES = 256 * 1024;
const SLICE_BYTES = 256 * 1024;

/**
 * Hashes the spans of a stream whose borders become known only after the bytes have passed. Bytes are
 * held back for {@link LOOK_BACK_BYTES} before they go into the hash of the span that seems current.
 */
export class SpanHasher {
  readonly #held = new Uint8Array(LOOK_BACK_BYTES + 2 * SLICE_BYTES);
  #heldLength = 0;
  /** Position in the stream of the first byte held. */
  #heldStart = 0;
  #hash: Hash | null = null;
  /** Position up to which the current span is hashed. */
  #hashed = 0;

  /** Takes bytes and hands them on, cut so that borders found in a piece can still be hashed. */
  push(bytes: Uint8Array, handOn: (piece: Uint8Array) => void): void {
    for (let at = 0; at < bytes.length; at += SLICE_BYTES) {
      const piece = bytes.subarray(at, at + SLICE_BYTES);
      this.#hold(piece);
      handOn(piece);
    }
  }

  /** Bytes from a place on that is at most `LOOK_BACK_BYTES` behind the newest: a view until the next `push`. */
  since(start: number): Uint8Array {
    return this.#held.subarray(start - this.#heldStart, this.#heldLength);
  }

  /**
   * Begins a span. The former one, when there is one, must have been ended, or is given up: a span
   * that proved to be empty.
   */
  begin(start: number): void {
    this.#hash = createHash("sha256");
    this.#hashed = start;
  }

  /** Ends the current span. */
  endSpan(end: number): Digest {
    this.#hashUpTo(end);
    const digest = `sha256:${this.#hash!.digest("hex")}` as Digest;
    this.#hash = null;
    return digest;
  }

  #hold(piece: Uint8Array): void {
    if (this.#heldLength + piece.length > this.#held.length) {
      const drop = this.#heldLength - LOOK_BACK_BYTES;
      if (this.#hash !== null) this.#hashUpTo(this.#heldStart + drop);
      this.#held.copyWithin(0, drop, this.#heldLength);
      this.#heldLength = LOOK_BACK_BYTES;
      this.#heldStart += drop;
    }
    this.#held.set(piece, this.#heldLength);
    this.#heldLength += piece.length;
  }

  #hashUpTo(end: number): void {
    if (end <= this.#hashed) return;
    const from = this.#hashed - this.#heldStart;
    const to = end - this.#heldStart;
    if (from < 0 || to > this.#heldLength) {
      throw new RangeError("a span border lies outside the bytes held");
    }
    this.#hash!.update(this.#held.subarray(from, to));
    this.#hashed = end;
  }
}
