/**
 * A round-robin queue: items wait by owner, and `next` takes one item of each owner in turn. So nobody
 * waits behind all items of another owner. An item that there is no room for is passed over, and keeps
 * its turn.
 *
 * @example
 * ```ts
 * import { TurnQueue } from "./turn_queue.ts";
 * const queue = new TurnQueue<number>();
 * queue.push("many", 1);
 * queue.push("many", 2);
 * queue.push("few", 3);
 * const order = [queue.next(), queue.next(), queue.next()];
 * if (order.join() !== "1,3,2") throw new Error(order.join());
 * ```
 */
export class TurnQueue<T> {
  /** The next owner comes first. Owners without items are not in the map. */
  readonly #waiting = new Map<string, T[]>();
  #size = 0;

  /** Number of waiting items. */
  get size(): number {
    return this.#size;
  }

  /** Adds an item. */
  push(who: string, item: T): void {
    this.#waiting.getOrInsertComputed(who, () => []).push(item);
    this.#size++;
  }

  /** Takes the next item that fits; undefined when there is none. */
  next(fits: (item: T) => boolean = () => true): T | undefined {
    for (const [who, items] of this.#waiting) {
      const at = items.findIndex(fits);
      if (at < 0) continue;
      const [item] = items.splice(at, 1);
      this.#size--;
      this.#waiting.delete(who); // so that its next turn comes last
      if (items.length > 0) this.#waiting.set(who, items);
      return item;
    }
    return undefined;
  }

  /** Takes all items. */
  drain(): T[] {
    const all = [...this.#waiting.values()].flat();
    this.#waiting.clear();
    this.#size = 0;
    return all;
  }
}
