/** How much a {@link RecentSet} keeps, and how long. */
export interface RecentSetOptions {
  readonly maxEntries: number;
  /** How long an entry is believed, ms. */
  readonly keptMs: number;
  /**
   * The longest time an entry is believed, ms. The time doubles each time an expired entry is added
   * again. Default: it does not grow.
   */
  readonly maxKeptMs?: number;
  /** Milliseconds of a clock that never goes back. Default: the process's own. */
  readonly now?: () => number;
}

/**
 * A set of recent observations. It is bounded, because names of hosts and repositories come from
 * images. Entries expire, because hosts change.
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
  readonly #entries = new Map<string, { endMs: number; keptMs: number }>();
  readonly #options: RecentSetOptions;

  constructor(options: RecentSetOptions) {
    this.#options = options;
  }

  /** Adds an entry, or renews it. */
  add(key: string): void {
    const { maxEntries, keptMs, maxKeptMs = keptMs } = this.#options;
    const now = this.#now();
    const known = this.#entries.get(key);
    const kept = known === undefined ? keptMs : now < known.endMs
      ? known.keptMs // several callers noticed it at the same time
      : Math.min(maxKeptMs, 2 * known.keptMs);
    this.#entries.delete(key); // so that it becomes the newest
    this.#entries.set(key, { endMs: now + kept, keptMs: kept });
    const oldest = this.#entries.keys().next();
    if (this.#entries.size > maxEntries && !oldest.done) {
      this.#entries.delete(oldest.value);
    }
  }

  /** Whether an entry is there and has not expired. */
  has(key: string): boolean {
    const known = this.#entries.get(key);
    return known !== undefined && this.#now() < known.endMs;
  }

  /** Removes an entry. */
  delete(key: string): void {
    this.#entries.delete(key);
  }

  #now(): number {
    return this.#options.now?.() ?? performance.now();
  }
}
