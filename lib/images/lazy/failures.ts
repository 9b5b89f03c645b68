/** How long {@link Failures} are remembered. */
export interface FailuresOptions {
  /** Time since the last lookup, ms. */
  readonly keptMs: number;
  /** Time since the failure, however often it is looked up, ms. */
  readonly maxKeptMs: number;
  readonly maxEntries: number;
  /** Milliseconds of a clock that never goes back. Default: the process's own. */
  readonly now?: () => number;
}

/**
 * Remembers recent failures. containerd asks for an image layer by layer: what failed for the first
 * layer must not make each of the others wait again.
 *
 * @example
 * ```ts
 * import { Failures } from "./failures.ts";
 * const failures = new Failures({ keptMs: 1000, maxKeptMs: 5000, maxEntries: 10 });
 * failures.add("image", new Error("no answer"));
 * if (failures.of("image") === null) throw new Error("it is remembered");
 * ```
 */
export class Failures {
  readonly #options: FailuresOptions;
  readonly #known = new Map<
    string,
    { readonly error: unknown; readonly endMs: number; untilMs: number }
  >();

  constructor(options: FailuresOptions) {
    this.#options = options;
  }

  /** Remembers a failure. */
  add(key: string, error: unknown): void {
    const { keptMs, maxKeptMs, maxEntries } = this.#options;
    const now = this.#now();
    this.#known.delete(key); // so that it becomes the newest
    this.#known.set(key, {
      error,
      endMs: now + maxKeptMs,
      untilMs: now + keptMs,
    });
    const oldest = this.#known.keys().next();
    if (this.#known.size > maxEntries && !oldest.done) {
      this.#known.delete(oldest.value);
    }
  }

  /** The recent failure of a key, or null. A lookup extends how long it is remembered. */
  of(key: string): { readonly error: unknown } | null {
    const found = this.#known.get(key);
    if (found === undefined) return null;
    const now = this.#now();
    if (now >= found.untilMs) {
      this.#known.delete(key);
      return null;
    }
    found.untilMs = Math.min(found.endMs, now + this.#options.keptMs);
    return found;
  }

  /** Forgets a failure, because of a success or to force a new try. */
  forget(key: string): void {
    this.#known.delete(key);
  }

  #now(): number {
    return this.#options.now?.() ?? performance.now();
  }
}

/**
 * For requests that containerd makes layer by layer: unpacking a large layer in between takes
 * minutes.
 */
export const WHILE_PULLING: FailuresOptions = {
  keptMs: 2 * 60_000,
  maxKeptMs: 15 * 60_000,
  maxEntries: 1024,
};
