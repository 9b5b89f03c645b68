/**
 * Runs something for all who ask for it while it is under way, once more and not once each.
 *
 * @example
 * ```ts
 * import { SharedRun } from "./shared_run.ts";
 * let runs = 0;
 * const shared = new SharedRun(() => Promise.resolve(void runs++));
 * await Promise.all([shared.run(), shared.run(), shared.run()]);
 * if (runs !== 2) throw new Error(`${runs} runs`);
 * ```
 */
export class SharedRun {
  readonly #work: () => Promise<void>;
  #running: Promise<void> | null = null;
  #next: Promise<void> | null = null;

  /** @param work that does for one asking what it does for many; one run at a time. */
  constructor(work: () => Promise<void>) {
    this.#work = work;
  }

  /** Resolves when a run that began after this call is over; rejects as it does. */
  run(): Promise<void> {
    if (this.#next !== null) return this.#next; // has not begun
    if (this.#running === null) return this.#start();
    return this.#next = this.#running
      .catch(() => {}) // told to whoever waits for that one
      .then(() => this.#start());
  }

  #start(): Promise<void> {
    this.#next = null;
    return this.#running = this.#work().finally(() => this.#running = null);
  }
}
