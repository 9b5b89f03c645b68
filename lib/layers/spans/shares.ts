/** All together may have this many times the bound of one. */
const TOGETHER = 1.5;

/**
 * How much of a shared resource one user may have. A single user may have all of `max`. With
 * others, a user may have two thirds of what they leave of 1.5 × `max`. So however many users come,
 * the last one still finds room, and nobody has to give anything back.
 * @param others the sum of what all others have.
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
   * At first nobody has anything.
   * @param max what a single user may have; Infinity: no limit.
   */
  constructor(max: number) {
    this.#max = max;
  }

  /** What one user has. */
  heldBy(key: K): number {
    return this.#held.get(key) ?? 0;
  }

  /** What one user may still take; zero or less if others came after it took its share. */
  roomOf(key: K): number {
    const mine = this.heldBy(key);
    return fairShare(this.#max, this.#total - mine) - mine;
  }

  /** Adds to what one user has, even if there is no room. */
  take(key: K, amount: number): void {
    this.#held.set(key, this.heldBy(key) + amount);
    this.#total += amount;
  }

  /** Subtracts from what one user has. */
  give(key: K, amount: number): void {
    const left = this.heldBy(key) - amount;
    if (left > 0) this.#held.set(key, left);
    else this.#held.delete(key);
    this.#total -= amount;
  }
}
