/**
 * Coalesces calls of a task: one run at a time, and all callers that ask during a run share the one run
 * after it. A caller cannot join the run in progress, because that began before its request.
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

  /**
   * @param work the task; a run that begins after a request serves that request. Never run concurrently.
   */
  constructor(work: () => Promise<void>) {
    this.#work = work;
  }

  /** Resolves when a run that began after this call has ended; rejects if that run does. */
  run(): Promise<void> {
    if (this.#next !== null) return this.#next; // has not begun yet: join it
    if (this.#running === null) return this.#start();
    return this.#next = this.#running
      .catch(() => {}) // reported to the callers of that run
      .then(() => this.#start());
  }

  #start(): Promise<void> {
    this.#next = null;
    return this.#running = this.#work().finally(() => this.#running = null);
  }
}
