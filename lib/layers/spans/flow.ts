/**
 * Whether the bytes of a request are arriving.
 * @module
 */

/** Progress is measured in intervals of this length, ms. */
const PIECE_MS = 500;
/** Below this rate, bytes per ms, a request counts as giving next to nothing: half a Mbit/s. */
const LEAST_BYTES_PER_MS = 64;
/** After this many intervals of next to nothing, a request is quiet: try other sources. */
const QUIET_PIECES = 2;
/** After this many, it is slow: its bytes no longer count against the shares of others. */
const SLOW_PIECES = 4;
/** After this many intervals without a byte, it is silent. No more intervals are kept. */
const SILENT_PIECES = 8;

/** Watches the progress of one request. */
export class Flow {
  readonly #sentMs: number;
  #hasBegun = false;
  #fromMs: number;
  #bytes = 0;
  /** Bytes of the last intervals, the newest last. */
  #pieces: number[] = [];

  /** Starts watching a request that is sent at `nowMs`. */
  constructor(nowMs: number) {
    this.#fromMs = this.#sentMs = nowMs;
  }

  /** Counts bytes that arrived. @returns how long the first ones took, ms; null for all others. */
  received(bytes: number, nowMs: number): number | null {
    this.#bytes += bytes;
    if (this.#hasBegun) return null;
    this.#hasBegun = true;
    return nowMs - this.#sentMs;
  }

  /** Advances the time; call it about twice per `PIECE_MS`. */
  look(nowMs: number): void {
    const elapsedMs = nowMs - this.#fromMs;
    if (elapsedMs < PIECE_MS) return;
    this.#fromMs = nowMs;
    // `look` was called late: this process was stalled, not the request.
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
