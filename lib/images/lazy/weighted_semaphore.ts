/**
 * A weighted semaphore: work enters in the order it comes, as long as the weights of all that is inside
 * fit together. What is heavier than that enters alone.
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

  /** @param maxWeight of all work inside together. */
  constructor(maxWeight: number) {
    this.#maxWeight = maxWeight;
  }

  /** Runs work when its turn has come and there is room; what it gives or throws. */
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
