import { WeightedSemaphore } from "./weighted_semaphore.ts";

/**
 * Semaphores of their own for many: whoever is slow inside one keeps nobody waiting at another.
 *
 * @example
 * ```ts
 * import { KeyedSemaphores } from "./keyed_semaphores.ts";
 * const semaphores = new KeyedSemaphores(1);
 * const never = new Promise<void>(() => {});
 * semaphores.run("hung", 1, () => never);
 * await semaphores.run("well", 1, () => Promise.resolve());
 * ```
 */
export class KeyedSemaphores {
  readonly #maxWeight: number;
  readonly #semaphores = new Map<
    string,
    { semaphore: WeightedSemaphore; users: number }
  >();

  /** @param maxWeight of all work inside one semaphore together. */
  constructor(maxWeight: number) {
    this.#maxWeight = maxWeight;
  }

  /** Runs work when its turn at one semaphore has come; what it gives or throws. */
  async run<T>(
    key: string,
    weight: number,
    work: () => Promise<T>,
  ): Promise<T> {
    const entry = this.#semaphores.getOrInsertComputed(
      key,
      () => ({ semaphore: new WeightedSemaphore(this.#maxWeight), users: 0 }),
    );
    entry.users++;
    try {
      return await entry.semaphore.run(weight, work);
    } finally {
      if (--entry.users === 0) this.#semaphores.delete(key);
    }
  }
}
