import { collectEverything } from "./collect.ts";

/**
 * Returns the memory of a Worker's heap each time it has had nothing to do for a while. What malloc keeps
 * is left to `giveBackWhenIdle`: to trim it locks the heaps of all threads in turn, and a Worker that
 * waits for a core meanwhile would hold up the main thread for a tenth of a second.
 */
export class RestingWorker {
  readonly #restMs: number;
  readonly #shrink: () => void;
  #used = true;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /**
   * What was made while the Worker's code was loaded is garbage to begin with.
   * @param restMs how long the Worker has had nothing to do.
   * @param shrink called first, to let go of what is kept for the next work.
   */
  constructor(restMs: number, shrink: () => void = () => {}) {
    this.#restMs = restMs;
    this.#shrink = shrink;
    this.used();
  }

  /** To be called with each piece of work; takes no time. */
  used(): void {
    this.#used = true;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#look();
    }, this.#restMs);
  }

  #look(): void {
    if (this.#used) {
      this.used();
      this.#used = false;
      return;
    }
    this.#shrink();
    collectEverything();
  }
}
