import { pollNow } from "../os/mod.ts";

const POLLIN = 1;
/** Looks before giving up: 50 … 100 µs, about what whoever asks one question after another takes. */
const LOOKS = 200;
/** A question that came so soon, ms, would have been met by looking. */
const SOON_MS = 0.1;

/**
 * Waits for the next request without sleeping, as long as requests follow each other closely.
 *
 * To wake a sleeping thread costs more than to answer: of 52 µs from one LOOKUP's question to the
 * next, the server works 4 (docs/performance.md). So after an answer it looks for the next question
 * for a moment, but only if the last one came that soon: where requests are rare it sleeps at once,
 * and one vain wait is all that is wasted at the end of a burst. Never with a single core, where the
 * asker could not run meanwhile.
 */
export class BusyWait {
  readonly #poll: Uint8Array<ArrayBuffer>;
  readonly #canSpin = navigator.hardwareConcurrency > 1;
  #spinning = false;

  /** @param fd what requests are read from. */
  constructor(fd: number) {
    // `struct pollfd`: descriptor, then events and returned events, 16 bits each.
    this.#poll = new Uint8Array(Int32Array.of(fd, POLLIN).buffer);
  }

  /** Whether a request is there, or an error to be read; false: sleep, and tell `slept`. */
  met(): boolean {
    if (!this.#spinning) return false;
    for (let look = 0; look < LOOKS; look++) {
      if (pollNow(this.#poll, 1) !== 0) return true;
    }
    this.#spinning = false;
    return false;
  }

  /** A request came after a sleep of so many ms. */
  slept(ms: number): void {
    this.#spinning = this.#canSpin && ms < SOON_MS;
  }
}
