import { setImmediate } from "node:timers";
import { TurnQueue } from "../spans/mod.ts";

/** So long work may hold this thread before others go first, ms. */
const TURN_MS = 8;

/**
 * Work of this thread that comes in steps. One job is done at a time, so that the first is not finished
 * as late as the last; each share has a turn after the others. When all of it together has held the
 * thread for `TURN_MS`, others go first.
 */
export class Turns {
  /** Begins the next job. */
  readonly #waiting = new TurnQueue<() => void>();
  #isBusy = false;
  /** Of the time until others go first. */
  #heldMs = 0;
  /** Resolves when others have gone first; null while nothing was done since. */
  #nextTurn: Promise<void> | null = null;

  /** Runs a job to its end; what it gives or throws. @param makeSteps called when its turn has come. */
  async run<T>(
    share: string,
    makeSteps: () => Generator<void, T, void>,
  ): Promise<T> {
    if (this.#isBusy) {
      await new Promise<void>((begin) => this.#waiting.push(share, begin));
    }
    this.#isBusy = true;
    try {
      if (this.#heldMs >= TURN_MS) await this.#nextTurn;
      const steps = makeSteps();
      for (;;) {
        const { done, value } = this.#step(steps);
        if (done) return value;
        if (this.#heldMs >= TURN_MS) await this.#nextTurn;
      }
    } finally {
      const begin = this.#waiting.next();
      if (begin === undefined) this.#isBusy = false;
      else begin();
    }
  }

  #step<T>(steps: Generator<void, T, void>): IteratorResult<void, T> {
    this.#nextTurn ??= new Promise((resolve) =>
      setImmediate(() => {
        this.#heldMs = 0;
        this.#nextTurn = null;
        resolve();
      })
    );
    const beganMs = performance.now();
    try {
      return steps.next();
    } finally {
      this.#heldMs += performance.now() - beganMs;
    }
  }
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
