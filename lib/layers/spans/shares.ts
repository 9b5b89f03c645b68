/** All together may have this many times the bound of one. */
const TOGETHER = 1.5;

/**
 * How much one user may have of a shared resource. Alone it may have all of `max`. Beside others it may
 * have two thirds of what they leave of 1.5 × `max`. So however many users come, the last one still
 * finds room, and nobody has to give anything back for it.
 * @param others what all others have together.
 */
export function fairShare(max: number, others: number): number {
  if (max === Infinity) return Infinity;
  return Math.max(0, Math.min(max, (max * TOGETHER - others) / TOGETHER));
}

/**
 * A bound that many users share, each up to its `fairShare`, so that none can starve another.
 *
 * @example
 * ```ts
 * import { FairShares } from "./shares.ts";
 * const shares = new FairShares<string>(12);
 * shares.take("hung", 12);
 * if (shares.roomOf("hung") > 0) throw new Error("it has all that one may have");
 * if (shares.roomOf("well") < 4) throw new Error("a part is left for others");
 * ```
 */
export class FairShares<K> {
  readonly #max: number;
  readonly #held = new Map<K, number>();
  #total = 0;

  /**
   * Nobody has anything yet.
   * @param max what one may have while it is alone; Infinity: no bound.
   */
  constructor(max: number) {
    this.#max = max;
  }

  /** What one has. */
  heldBy(key: K): number {
    return this.#held.get(key) ?? 0;
  }

  /** What one may still take; zero or less if others have come since it took its share. */
  roomOf(key: K): number {
    const mine = this.heldBy(key);
    return fairShare(this.#max, this.#total - mine) - mine;
  }

  /** Adds to what one has, whether there is room or not. */
  take(key: K, amount: number): void {
    this.#held.set(key, this.heldBy(key) + amount);
    this.#total += amount;
  }

  /** Subtracts from what one has. */
  give(key: K, amount: number): void {
    const left = this.heldBy(key) - amount;
    if (left > 0) this.#held.set(key, left);
    else this.#held.delete(key);
    this.#total -= amount;
  }
}
