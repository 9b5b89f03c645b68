/** Runs tasks of the same key one after another, in the order they came; others overlap. */
export class KeyedLock {
  readonly #tails = new Map<string, Promise<void>>();

  /** Runs a task when all earlier ones of its key are done, however they ended. */
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
