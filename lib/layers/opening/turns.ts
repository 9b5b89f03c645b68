import { setImmediate } from "node:timers";
import { OpeningQueue } from "./queue.ts";

/** Work that has held this thread for so long lets others go first, ms. */
const TURN_MS = 4;

/** What waits for this thread. */
interface Waiting {
  readonly share: string;
  readonly begin: () => void;
}

/**
 * Work of this thread that comes in steps. One job is done at a time, so that the first is not finished
 * as late as the last; each share has a turn after the others, and between steps others go first.
 */
export class Turns {
  readonly #waiting = new OpeningQueue<Waiting>();
  #isBusy = false;

  /** Runs a job to its end; what it gives or throws. @param makeSteps called when its turn has come. */
  async run<T>(
    share: string,
    makeSteps: () => Generator<void, T, void>,
  ): Promise<T> {
    if (this.#isBusy) {
      await new Promise<void>((begin) => this.#waiting.push({ share, begin }));
    }
    this.#isBusy = true;
    try {
      await othersFirst();
      let beganMs = performance.now();
      const steps = makeSteps();
      for (;;) {
        const { done, value } = steps.next();
        if (done) return value;
        if (performance.now() - beganMs < TURN_MS) continue;
        await othersFirst();
        beganMs = performance.now();
      }
    } finally {
      const next = this.#waiting.take(() => true);
      if (next === null) this.#isBusy = false;
      else next.begin();
    }
  }
}

function othersFirst(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Work that does not come in steps. */
export function* atOnce<T>(work: () => T): Generator<void, T, void> {
  yield;
  return work();
}

/** Runs steps one after another: for a thread that has nothing else to do. */
export function toTheEnd<T>(steps: Generator<void, T, void>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}
