/** How long {@link Failures} are believed. */
export interface FailuresOptions {
  /** From when somebody asked last, ms. */
  readonly keptMs: number;
  /** From the failure on, however often somebody asks, ms. */
  readonly maxKeptMs: number;
  readonly maxEntries: number;
  /** Milliseconds of a clock that never goes back. Default: the process's own. */
  readonly now?: () => number;
}

/**
 * What failed lately. containerd asks for an image layer by layer: what stood in the way of the first
 * one is not waited for again by each of the others.
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

  /** Remembers what failed, and how. */
  add(key: string, error: unknown): void {
    const { keptMs, maxKeptMs, maxEntries } = this.#options;
    const now = this.#now();
    this.#known.delete(key); // so that it is the newest
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

  /** How it failed; null when it did not lately. Asking keeps the memory awake. */
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

  /** It went well, or is to be tried again whatever was. */
  forget(key: string): void {
    this.#known.delete(key);
  }

  #now(): number {
    return this.#options.now?.() ?? performance.now();
  }
}

/** For what containerd asks for layer by layer: a large layer takes minutes to unpack between two. */
export const WHILE_PULLING: FailuresOptions = {
  keptMs: 2 * 60_000,
  maxKeptMs: 15 * 60_000,
  maxEntries: 1024,
};
