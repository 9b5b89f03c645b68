/**
 * A task whose calls are coalesced: single flight with one rerun. Only one run is in progress at a
 * time. A call during a run cannot join it, because that run began before the call. All such calls
 * share the one run that follows.
 *
 * @example
 * ```ts
 * import { CoalescedTask } from "./coalesced_task.ts";
 * let runs = 0;
 * const task = new CoalescedTask(() => Promise.resolve(void runs++));
 * await Promise.all([task.run(), task.run(), task.run()]);
 * if (runs !== 2) throw new Error(`${runs} runs`);
 * ```
 */
export class CoalescedTask {
  readonly #work: () => Promise<void>;
  #running: Promise<void> | null = null;
  #next: Promise<void> | null = null;

  /** Nothing runs yet. @param work the task; a run that begins after a call serves that call. */
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
