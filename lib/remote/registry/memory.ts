/** How much a {@link RecentSet} keeps, and how long. */
export interface RecentSetOptions {
  readonly maxEntries: number;
  /** How long an entry is believed, ms. */
  readonly keptMs: number;
  /** Milliseconds of a clock that never goes back. Default: the process's own. */
  readonly now?: () => number;
}

/**
 * What was noticed lately: bounded, because names of hosts and repositories come from images, and
 * forgotten after a while, because hosts change.
 *
 * @example
 * ```ts
 * import { RecentSet } from "./memory.ts";
 * const slow = new RecentSet({ maxEntries: 2, keptMs: 1000 });
 * for (const host of ["a", "b", "c"]) slow.add(host);
 * if (slow.has("a") || !slow.has("c")) throw new Error("the oldest goes first");
 * ```
 */
export class RecentSet {
  readonly #ends = new Map<string, number>();
  readonly #options: RecentSetOptions;

  constructor(options: RecentSetOptions) {
    this.#options = options;
  }

  /** Keeps an entry from now on. */
  add(key: string): void {
    const { maxEntries, keptMs } = this.#options;
    this.#ends.delete(key); // so that it is the newest
    this.#ends.set(key, this.#now() + keptMs);
    const oldest = this.#ends.keys().next();
    if (this.#ends.size > maxEntries && !oldest.done) {
      this.#ends.delete(oldest.value);
    }
  }

  /** Whether it was added not long ago. */
  has(key: string): boolean {
    const end = this.#ends.get(key);
    if (end === undefined) return false;
    if (this.#now() < end) return true;
    this.#ends.delete(key);
    return false;
  }

  /** Forgets an entry. */
  delete(key: string): void {
    this.#ends.delete(key);
  }

  #now(): number {
    return this.#options.now?.() ?? performance.now();
  }
}
