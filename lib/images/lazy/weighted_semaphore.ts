/**
 * A weighted semaphore. Work starts in order of arrival, as long as the weights of all running work
 * fit together. Work heavier than the limit runs alone.
 *
 * @example
 * ```ts
 * import { WeightedSemaphore } from "./weighted_semaphore.ts";
 * const semaphore = new WeightedSemaphore(100);
 * const sizes = await Promise.all([60, 60, 10].map((size) => semaphore.run(size, () => Promise.resolve(size))));
 * if (sizes.join() !== "60,60,10") throw new Error(sizes.join());
 * ```
 */
export class WeightedSemaphore {
  readonly #maxWeight: number;
  readonly #waiting: { readonly weight: number; readonly enter: () => void }[] =
    [];
  #inside = 0;

  /** @param maxWeight of all running work together. */
  constructor(maxWeight: number) {
    this.#maxWeight = maxWeight;
  }

  /** Runs work when its turn has come and there is room. Returns or throws what it does. */
  async run<T>(weight: number, work: () => Promise<T>): Promise<T> {
    const held = Math.min(weight, this.#maxWeight);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push({ weight: held, enter: resolve });
    this.#admit();
    await promise;
    try {
      return await work();
    } finally {
      this.#inside -= held;
      this.#admit();
    }
  }

  #admit(): void {
    for (
      let first = this.#waiting[0];
      first !== undefined && this.#inside + first.weight <= this.#maxWeight;
      first = this.#waiting[0]
    ) {
      this.#waiting.shift();
      this.#inside += first.weight;
      first.enter();
    }
  }
}
