import { WINDOW_BYTES } from "./engine.ts";
import { DeflateError } from "./errors.ts";
import { SpanInflater } from "./inflater.ts";

/**
 * So many compressed bytes behind a checkpoint tell all there is to know: stored blocks, which pack worst, give
 * a window's worth of output in them.
 */
export const WINDOW_USE_BYTES: number = WINDOW_BYTES + 4096;

/** Compressed bytes that are inflated at a time. */
const PIECE_BYTES = 4096;
/** More than this is not looked at: no distance reaches further back than a window. */
const LOOK_BYTES = WINDOW_BYTES;

/**
 * Finds out which bytes of a checkpoint's window the stream behind it copies: a tenth of them, mostly. The rest may
 * be anything.
 *
 * It inflates what follows three times, by windows whose bytes tell their own place: by low bits, by high bits, and
 * by low bits turned over. Where the first and the third result differ, the byte comes out of the window, and the
 * first two say from where.
 */
export class WindowUse {
  readonly #inflater = new SpanInflater();
  readonly #low = new Uint8Array(WINDOW_BYTES);
  readonly #high = new Uint8Array(WINDOW_BYTES);
  readonly #turned = new Uint8Array(WINDOW_BYTES);

  /** It has a Wasm memory of its own for as long as it lives. */
  constructor() {
    for (let at = 0; at < WINDOW_BYTES; at++) {
      this.#low[at] = at;
      this.#high[at] = at >> 8;
      this.#turned[at] = ~at;
    }
  }

  /**
   * Looks at what follows one checkpoint.
   * @param compressed from the checkpoint on, as for `SpanInflater.inflate`: `WINDOW_USE_BYTES`, or all there is.
   * @param bits as for `SpanInflater.inflate`.
   * @param come `all`: the stream ends with these bytes.
   * @returns by place in the window, 1 where it is copied; null where that cannot be told, as little output comes.
   */
  of(
    compressed: Uint8Array,
    bits: number,
    come: "some" | "all" = "some",
  ): Uint8Array<ArrayBuffer> | null {
    const low = this.#inflate(compressed, bits, this.#low);
    if (low === null || (come === "some" && low.length < LOOK_BYTES)) {
      return null;
    }
    const high = this.#inflate(compressed, bits, this.#high)!;
    const turned = this.#inflate(compressed, bits, this.#turned)!;
    const used = new Uint8Array(WINDOW_BYTES);
    for (let at = 0; at < low.length; at++) {
      if (low[at] !== turned[at]) used[low[at]! | high[at]! << 8] = 1;
    }
    return used;
  }

  /** A copy of the first output. */
  #inflate(
    compressed: Uint8Array,
    bits: number,
    window: Uint8Array,
  ): Uint8Array<ArrayBuffer> | null {
    const inflater = this.#inflater;
    inflater.begin(bits, window, LOOK_BYTES);
    try {
      for (let at = 0; at < compressed.length; at += PIECE_BYTES) {
        inflater.push(compressed.subarray(at, at + PIECE_BYTES));
        if (inflater.soFar().length >= LOOK_BYTES) break;
      }
      return inflater.soFar().slice();
    } catch (error) {
      if (!(error instanceof DeflateError)) throw error;
      return null; // the pass over the layer says what is wrong
    }
  }
}
