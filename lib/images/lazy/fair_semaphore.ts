import { FairShares } from "../../layers/spans/mod.ts";

/** Who waits at a `FairSemaphore`. */
interface Waiting {
  readonly key: string;
  readonly weight: number;
  readonly enter: () => void;
}

/**
 * One semaphore for many, each of whom has a fair share of what may be inside: nobody fills it alone so
 * that no other gets in, unless what that one has is too heavy to be beside anything.
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

  /** @param maxWeight of all work of one inside; all together may have half as much again. */
  constructor(maxWeight: number) {
    this.#shares = new FairShares(maxWeight);
  }

  /** Runs work when there is room for it; what it gives or throws. */
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
