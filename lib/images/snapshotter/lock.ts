/**
 * A mutex per key: tasks of one key run one at a time, in order; tasks of different keys overlap.
 */
export class KeyedLock {
  readonly #tails = new Map<string, Promise<void>>();

  /** Runs a task after all earlier tasks of its key have ended, even if they failed. */
  async run<T>(key: string, task: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#tails.set(key, promise);
    try {
      await before;
      return await task();
    } finally {
      resolve();
      if (this.#tails.get(key) === promise) this.#tails.delete(key);
    }
  }
}
