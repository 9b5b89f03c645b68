/** Wakes who waits, again and again, until it fails for good. */
export class Wakeups {
  #waited = quiet();

  /** Resolves with the next `wake`. @throws what it failed with */
  get next(): Promise<void> {
    return this.#waited.promise;
  }

  /** Whoever waits goes on. */
  wake(): void {
    const { resolve } = this.#waited;
    this.#waited = quiet();
    resolve();
  }

  /** Whoever waits, or will wait, gets an error. */
  fail(error: unknown): void {
    this.#waited.reject(error);
  }
}

/** Its error is told to whoever waits, and perhaps nobody does. */
function quiet(): PromiseWithResolvers<void> {
  const waited = Promise.withResolvers<void>();
  waited.promise.catch(() => {});
  return waited;
}
