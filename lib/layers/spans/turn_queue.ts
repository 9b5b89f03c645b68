/**
 * Things that wait, by who brought them. They go in turns, one of each after another, so nobody waits
 * behind all that another one brought.
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
  /** Whose turn is next comes first; nobody is in here with nothing. */
  readonly #waiting = new Map<string, T[]>();
  #size = 0;

  /** How many wait. */
  get size(): number {
    return this.#size;
  }

  /** One more waits. */
  push(who: string, item: T): void {
    this.#waiting.getOrInsertComputed(who, () => []).push(item);
    this.#size++;
  }

  /** Takes what is next; undefined when nothing waits. */
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
