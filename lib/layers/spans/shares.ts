/** How many times the bound of one all together may have. */
const TOGETHER = 1.5;

/**
 * What one may have of something that several share: alone, all of `max`; beside others, two thirds
 * of what those leave of half as much again. So however many come, the last one still finds room, and
 * nobody has to give anything back for that.
 * @param others what all others have together.
 */
export function fairShare(max: number, others: number): number {
  if (max === Infinity) return Infinity;
  return Math.max(0, Math.min(max, (max * TOGETHER - others) / TOGETHER));
}

/**
 * A bound that many share, each up to its `fairShare`: none can take what another one needs.
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

  /** What one may still take; not over zero when others came since it took what it has. */
  roomOf(key: K): number {
    const mine = this.heldBy(key);
    return fairShare(this.#max, this.#total - mine) - mine;
  }

  /** One has so much more, whether there is room or not. */
  take(key: K, amount: number): void {
    this.#held.set(key, this.heldBy(key) + amount);
    this.#total += amount;
  }

  /** One has so much less. */
  give(key: K, amount: number): void {
    const left = this.heldBy(key) - amount;
    if (left > 0) this.#held.set(key, left);
    else this.#held.delete(key);
    this.#total -= amount;
  }
}
