/** Older times count half after so long, ms. */
const HALF_MS = 500;

/**
 * A rate over the time in which something was busy; what is long ago counts less.
 *
 * @example
 * ```ts
 * import { ByteRate } from "./byte_rate.ts";
 * const rate = new ByteRate();
 * rate.add(3000, 10);
 * if (rate.bytesPerMs !== 300) throw new Error(`${rate.bytesPerMs}`);
 * ```
 */
export class ByteRate {
  #bytes = 0;
  #ms = 0;

  /** So many bytes passed in so many ms. */
  add(bytes: number, ms: number): void {
    this.#bytes += bytes;
    this.#ms += ms;
    if (this.#ms < HALF_MS) return;
    this.#bytes /= 2;
    this.#ms /= 2;
  }

  /** 0 while unknown. */
  get bytesPerMs(): number {
    return this.#ms === 0 ? 0 : this.#bytes / this.#ms;
  }
}
