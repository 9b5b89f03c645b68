import { FairShares } from "../../layers/spans/mod.ts";

/** Work that waits at a `FairSemaphore`. */
interface Waiting {
  readonly key: string;
  readonly weight: number;
  readonly enter: () => void;
}

/**
 * A weighted semaphore with a fair share for each key: one key alone cannot fill it and keep all
 * others out. The exception is work that is too heavy to run beside any other.
 *
 * @example
 * ```ts
 * import { FairSemaphore } from "./fair_semaphore.ts";
 * const semaphore = new FairSemaphore(100);
 * const never = new Promise<void>(() => {});
 * for (let i = 0; i < 5; i++) semaphore.run("hung", 30, () => never);
 * await semaphore.run("well", 30, () => Promise.resolve());
 * ```
 */
export class FairSemaphore {
  readonly #shares: FairShares<string>;
  #waiting: Waiting[] = [];
  #inside = 0;

  /** @param maxWeight of one key's running work; all keys together may have half as much again. */
  constructor(maxWeight: number) {
    this.#shares = new FairShares(maxWeight);
  }

  /** Runs work when there is room for it. Returns or throws what it does. */
  async run<T>(
    key: string,
    weight: number,
    work: () => Promise<T>,
  ): Promise<T> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push({ key, weight, enter: resolve });
    this.#admit();
    await promise;
    try {
      return await work();
    } finally {
      this.#inside--;
      this.#shares.give(key, weight);
      this.#admit();
    }
  }

  #admit(): void {
    this.#waiting = this.#waiting.filter(({ key, weight, enter }) => {
      if (this.#inside > 0 && weight > this.#shares.roomOf(key)) return true;
      this.#inside++;
      this.#shares.take(key, weight);
      enter();
      return false;
    });
  }
}
