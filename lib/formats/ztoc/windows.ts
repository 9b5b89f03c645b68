import { Buffer } from "node:buffer";
import { deflateRawSync, inflateRawSync } from "node:zlib";
import { WINDOW_BYTES } from "../deflate/mod.ts";
import type { ZtocCheckpoint } from "./checkpoints.ts";

/** What lies before a stream's first byte. Nobody writes to it. */
const ZEROS = Buffer.alloc(WINDOW_BYTES);
/**
 * A window that does not compress below this size is kept as it is: decompressing it would not be worth
 * the time.
 */
const WORTH_BYTES = WINDOW_BYTES * 3 / 4;

/** The windows of a layer's checkpoints: 32 KiB per span, or less when compressed. */
export class Windows {
  readonly #windows: Uint8Array[];
  /** Windows before this one are packed, where that is worth it. */
  #packed = 0;

  /** Copies them. */
  constructor(checkpoints: readonly ZtocCheckpoint[]) {
    this.#windows = checkpoints.map(({ window }) =>
      ZEROS.equals(window) ? ZEROS : window.slice()
    );
  }

  /** That span's window, 32 KiB; not to be changed. */
  get(span: number): Uint8Array {
    const window = this.#windows[span] as Uint8Array;
    return window.length < WINDOW_BYTES
      ? inflateRawSync(window, { maxOutputLength: WINDOW_BYTES })
      : window;
  }

  /**
   * Compresses the next window, which takes about half a ms. Reading it afterwards takes 0.1 ms.
   * @returns false when none is left.
   */
  packNext(): boolean {
    if (this.#packed === this.#windows.length) return false;
    const span = this.#packed++;
    const window = this.#windows[span] as Uint8Array;
    if (window === ZEROS) return true;
    const packed = deflateRawSync(window, { level: 1 });
    // A copy: what zlib gives is a view of more.
    if (packed.length < WORTH_BYTES) {
      this.#windows[span] = new Uint8Array(packed);
    }
    return true;
  }
}
