/**
 * Whether what was asked for is coming.
 * @module
 */

/** A request is looked at in pieces of time as long as this, ms. */
const PIECE_MS = 500;
/** The slowest that is not taken for next to nothing, bytes a ms: half a Mbit/s. */
const LEAST_BYTES_PER_MS = 64;
/** So many pieces of next to nothing make a request quiet: what else there is should be tried. */
const QUIET_PIECES = 2;
/** So many make it slow: others need not wait for what it holds. */
const SLOW_PIECES = 4;
/** So many of nothing at all make it silent. No more are kept. */
const SILENT_PIECES = 8;

/** How a request comes along. */
export class Flow {
  #fromMs: number;
  #bytes = 0;
  /** Bytes of the last pieces, the newest last. */
  #pieces: number[] = [];

  /** It goes out now. */
  constructor(nowMs: number) {
    this.#fromMs = nowMs;
  }

  /** Bytes came. */
  received(bytes: number): void {
    this.#bytes += bytes;
  }

  /** Time goes by: to be called about twice in `PIECE_MS`. */
  look(nowMs: number): void {
    const elapsedMs = nowMs - this.#fromMs;
    if (elapsedMs < PIECE_MS) return;
    this.#fromMs = nowMs;
    // Nobody looked for so long: it was this process that stood still.
    if (elapsedMs > 3 * PIECE_MS) this.#pieces = [];
    else this.#pieces.push(this.#bytes);
    this.#bytes = 0;
    if (this.#pieces.length > SILENT_PIECES) this.#pieces.shift();
  }

  /** Whether next to nothing came for a second. */
  get quiet(): boolean {
    return this.#gaveLittle(QUIET_PIECES);
  }

  /** Whether next to nothing came for two seconds. */
  get slow(): boolean {
    return this.#gaveLittle(SLOW_PIECES);
  }

  /** Whether nothing at all came for four seconds. */
  get silent(): boolean {
    return this.#pieces.length === SILENT_PIECES &&
      this.#pieces.every((bytes) => bytes === 0);
  }

  #gaveLittle(pieces: number): boolean {
    if (this.#pieces.length < pieces) return false;
    const bytes = this.#pieces.slice(-pieces).reduce((sum, n) => sum + n, 0);
    return bytes < LEAST_BYTES_PER_MS * PIECE_MS * pieces;
  }
}
