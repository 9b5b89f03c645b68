import { WeightedSemaphore } from "./weighted_semaphore.ts";

/**
 * A weighted semaphore per key: slow work under one key delays no other.
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

  /** @param maxWeight of all running work of one key. */
  constructor(maxWeight: number) {
    this.#maxWeight = maxWeight;
  }

  /** Runs work when its turn at the key's semaphore has come. Returns or throws what it does. */
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
