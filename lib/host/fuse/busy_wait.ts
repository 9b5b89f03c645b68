import { pollNow } from "../os/mod.ts";

const POLLIN = 1;
/**
 * Polls before giving up: 50 … 100 µs, about the gap between requests of a client that sends one after
 * another.
 */
const LOOKS = 200;
/** If a request came this soon, ms, polling would have caught it. */
const SOON_MS = 0.1;

/**
 * Busy-waits for the next request, as long as requests follow each other closely.
 *
 * Waking a sleeping thread costs more than answering: of 52 µs from one LOOKUP to the next, the server
 * works 4 (docs/performance.md). So after an answer it polls for the next request for a moment, but only
 * if the last one came that soon. Where requests are rare it sleeps at once, so the end of a burst
 * wastes only one wait. It never busy-waits on a single core, where the client could not run meanwhile.
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

  /** Whether a request, or an error, can be read now; if not, sleep and then call `slept`. */
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
