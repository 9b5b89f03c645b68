/**
 * A round-robin queue: items wait by owner, and `next` takes one item of each owner in turn. So nobody
 * waits behind all items of another owner.
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

  /** Takes the next item; undefined when the queue is empty. */
  next(): T | undefined {
    const first = this.#waiting.entries().next();
    if (first.done) return undefined;
    const [who, items] = first.value;
    const item = items.shift();
    this.#size--;
    this.#waiting.delete(who);
    if (items.length > 0) this.#waiting.set(who, items);
    return item;
  }
}
