/** Whoever waits for something, by who it is for. */
interface Waiting {
  readonly share: string;
}

/**
 * A queue that gives each share its turn after the others, and passes over what there is no room for.
 *
 * @example
 * ```ts
 * import { OpeningQueue } from "./queue.ts";
 * const queue = new OpeningQueue<{ share: string; size: number }>();
 * queue.push({ share: "many", size: 9 });
 * queue.push({ share: "many", size: 1 });
 * queue.push({ share: "few", size: 1 });
 * const sizes = [queue.take(() => true), queue.take(() => true)];
 * if (sizes.map((one) => one?.share).join() !== "many,few") throw new Error();
 * ```
 */
export class OpeningQueue<T extends Waiting> {
  /** By share, in the order of their turns. */
  readonly #waiting = new Map<string, T[]>();

  /** Adds one. */
  push(item: T): void {
    this.#waiting.getOrInsertComputed(item.share, () => []).push(item);
  }

  /** Takes the first one there is room for; null when there is none. */
  take(hasRoom: (item: T) => boolean): T | null {
    for (const [share, items] of this.#waiting) {
      const at = items.findIndex(hasRoom);
      if (at < 0) continue;
      const [item] = items.splice(at, 1);
      this.#waiting.delete(share); // so that it is the last
      if (items.length > 0) this.#waiting.set(share, items);
      return item!;
    }
    return null;
  }

  /** Takes all. */
  drain(): T[] {
    const all = [...this.#waiting.values()].flat();
    this.#waiting.clear();
    return all;
  }
}
