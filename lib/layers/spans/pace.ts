/**
 * How much to ask of one host at a time, learned from what it gives.
 * @module
 */

/** Ranges asked for side by side. */
const MIN_REQUESTS = 4;
const FIRST_REQUESTS = 8;
const MAX_REQUESTS = 32;
/** Figures are taken over at least so long, ms, so that one lucky piece says nothing. */
const WINDOW_MS = 200;
/** How much of the known rate stays after a burst too short for a window. */
const BURST_DECAY = 0.95;
/** A change of the rate that is more than noise. */
const NOTICEABLE = 1.05;

/** Watches one host's transfers. */
export class HostPace {
  #requests = FIRST_REQUESTS;
  #step = 1;
  #bytesPerMs = 0;
  /** The window under way: it lasts while anything is transferred. */
  #windowStartMs = 0;
  #windowBytes = 0;
  #active = 0;
  /** Whether requests waited during all of the window: only then does the limit limit. */
  #saturated = false;
  #lastRate = 0;

  /** Requests that may run side by side. */
  get requests(): number {
    return this.#requests;
  }

  /** What the host gives to all requests together, bytes a ms; 0 while that is not known. */
  get bytesPerMs(): number {
    return this.#bytesPerMs;
  }

  /** About how long so many bytes take, ms. */
  transferMs(bytes: number): number {
    return this.#bytesPerMs === 0 ? 0 : bytes / this.#bytesPerMs;
  }

  /** A request begins. */
  begin(nowMs: number): void {
    if (this.#active++ === 0) this.#startWindow(nowMs);
  }

  /** Bytes came; `waiting` tells whether more requests wait for their turn. */
  received(bytes: number, waiting: boolean, nowMs: number): void {
    this.#windowBytes += bytes;
    this.#saturated &&= waiting;
    const elapsed = nowMs - this.#windowStartMs;
    if (elapsed < WINDOW_MS) return;
    this.#learn(this.#windowBytes / elapsed);
    this.#startWindow(nowMs);
  }

  /** A request is over. A failure makes the host's life easier. */
  end(outcome: "done" | "failed", nowMs: number): void {
    if (outcome === "failed") {
      this.#requests = Math.max(MIN_REQUESTS, this.#requests >> 1);
    }
    if (--this.#active > 0) return;
    // Short bursts count too. Their round trip makes them look slow, so they lower the rate slowly.
    const elapsed = nowMs - this.#windowStartMs;
    if (elapsed > 0 && this.#windowBytes > 0) {
      const rate = this.#windowBytes / elapsed;
      this.#bytesPerMs = Math.max(this.#bytesPerMs * BURST_DECAY, rate);
    }
  }

  #startWindow(nowMs: number): void {
    this.#windowStartMs = nowMs;
    this.#windowBytes = 0;
    this.#saturated = true;
  }

  /** Takes the new rate over and, when the limit was what limited, tries a better one. */
  #learn(rate: number): void {
    this.#bytesPerMs = this.#bytesPerMs === 0
      ? rate
      : this.#bytesPerMs * 0.5 + rate * 0.5;
    if (!this.#saturated) return;
    // Hill climbing: on in the same direction while that pays, else back.
    if (rate < this.#lastRate * NOTICEABLE && this.#lastRate > 0) {
      this.#step = -this.#step;
    }
    this.#lastRate = rate;
    this.#requests = Math.min(
      MAX_REQUESTS,
      Math.max(
        MIN_REQUESTS,
        this.#requests +
          this.#step * Math.max(1, this.#requests >> 2),
      ),
    );
  }
}
