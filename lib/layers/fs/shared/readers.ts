const GRACE_POLL_MS = 1;

/**
 * Which Workers are in a read: between looking at presence bytes and the end of the copy after it. A
 * reply that the kernel copies directly from the data file cannot be checked afterwards. So an eviction
 * first clears the presence bytes, then waits until each Worker has left the read it was in.
 *
 * A Worker's word is odd while it reads. Each word has one writer.
 */
export class ReadersAtWork {
  readonly #words: Int32Array;

  /** One isolate's view of it. @param memory made by `ReadersAtWork.allocate`. */
  constructor(readonly memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory);
  }

  /** Memory for that many Workers. */
  static allocate(workers: number): SharedArrayBuffer {
    return new SharedArrayBuffer(workers * 4);
  }

  /** Call it before looking at presence bytes. */
  enter(worker: number): void {
    Atomics.add(this.#words, worker, 1);
  }

  /** Call it after the bytes were copied. */
  leave(worker: number): void {
    Atomics.add(this.#words, worker, 1);
  }

  /** A Worker crashed, perhaps in the middle of a read: it copies nothing any more. */
  abandon(worker: number): void {
    if ((Atomics.load(this.#words, worker) & 1) !== 0) this.leave(worker);
  }

  /** Resolves when all reads that are running now have ended: usually within microseconds. */
  async left(): Promise<void> {
    const seen = Array.from(
      this.#words,
      (_, worker) => Atomics.load(this.#words, worker),
    );
    for (const [worker, word] of seen.entries()) {
      while (
        (word & 1) !== 0 && Atomics.load(this.#words, worker) === word
      ) await new Promise((resolve) => setTimeout(resolve, GRACE_POLL_MS));
    }
  }
}
