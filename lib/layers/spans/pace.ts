/**
 * How many requests to run against one host, learned from its throughput.
 * @module
 */

/** Bounds for concurrent range requests. */
const MIN_REQUESTS = 4;
const FIRST_REQUESTS = 8;
const MAX_REQUESTS = 32;
/** The rate is measured over at least this long, ms, so that one lucky chunk does not count. */
const WINDOW_MS = 200;
/** Factor applied to the known rate after a burst shorter than a window. */
const BURST_DECAY = 0.95;
/** The fewest requests that keep a host busy: one is on its way while another one's bytes come. */
const LEAST_ENOUGH = 2;
/** For so long, ms, the quickest first byte of a host is believed. */
const QUICKEST_MS = 10_000;
/** Weight of the newest request in their mean size. */
const NEWEST = 0.2;
/** A rate change by this factor is more than noise. */
const NOTICEABLE = 1.05;

/** Watches one host's transfers. */
export class HostPace {
  #requests = FIRST_REQUESTS;
  #step = 1;
  #bytesPerMs = 0;
  /** The current window: it lasts while anything is transferred. */
  #windowStartMs = 0;
  #windowBytes = 0;
  #active = 0;
  /** Whether requests were queued during the whole window: only then was the limit the bottleneck. */
  #saturated = false;
  #lastRate = 0;
  /** Mean size of the last requests. */
  #meanBytes = 0;
  /** The quickest first byte in the current time and in the one before. */
  #quickestMs = Infinity;
  #formerQuickestMs = Infinity;
  #quickestSinceMs = -Infinity;

  /** Requests that may run concurrently. */
  get requests(): number {
    return this.#requests;
  }

  /** The host's throughput over all requests, bytes per ms; 0 while unknown. */
  get bytesPerMs(): number {
    return this.#bytesPerMs;
  }

  /** The quickest first byte a short time ago, ms; Infinity while unknown. */
  get answerMs(): number {
    return Math.min(this.#quickestMs, this.#formerQuickestMs);
  }

  /**
   * As few requests as keep the line full, by the quickest first byte a short time ago: what takes longer than
   * that waits for this machine, and more requests would only take more of it from others. Up to `requests`.
   */
  get enough(): number {
    if (this.#bytesPerMs === 0 || this.#meanBytes === 0) return this.#requests;
    const under = this.answerMs * this.#bytesPerMs / this.#meanBytes;
    return Math.min(
      this.#requests,
      Math.max(LEAST_ENOUGH, 1 + Math.ceil(under)),
    );
  }

  /** The first byte of a request of so many bytes has come, so long after it was sent, ms. */
  firstByte(bytes: number, tookMs: number, nowMs: number): void {
    this.#meanBytes = this.#meanBytes === 0
      ? bytes
      : this.#meanBytes * (1 - NEWEST) + bytes * NEWEST;
    if (nowMs - this.#quickestSinceMs > QUICKEST_MS) {
      this.#formerQuickestMs = this.#quickestMs;
      this.#quickestMs = Infinity;
      this.#quickestSinceMs = nowMs;
    }
    this.#quickestMs = Math.min(this.#quickestMs, tookMs);
  }

  /** Estimates how long this many bytes take, ms. */
  transferMs(bytes: number): number {
    return this.#bytesPerMs === 0 ? 0 : bytes / this.#bytesPerMs;
  }

  /** A request begins. */
  begin(nowMs: number): void {
    if (this.#active++ === 0) this.#startWindow(nowMs);
  }

  /** Bytes arrived; `waiting` says whether more requests are queued. */
  received(bytes: number, waiting: boolean, nowMs: number): void {
    this.#windowBytes += bytes;
    this.#saturated &&= waiting;
    const elapsed = nowMs - this.#windowStartMs;
    if (elapsed < WINDOW_MS) return;
    this.#learn(this.#windowBytes / elapsed);
    this.#startWindow(nowMs);
  }

  /** A request has ended. A failure lowers the number of requests. */
  end(outcome: "done" | "failed", nowMs: number): void {
    if (outcome === "failed") {
      this.#requests = Math.max(MIN_REQUESTS, this.#requests >> 1);
    }
    if (--this.#active > 0) return;
    // Short bursts count too. The round trip makes them look slow, so they lower the rate only a little.
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

  /** Adopts the new rate and, if the limit was the bottleneck, tries another limit. */
  #learn(rate: number): void {
    this.#bytesPerMs = this.#bytesPerMs === 0
      ? rate
      : this.#bytesPerMs * 0.5 + rate * 0.5;
    if (!this.#saturated) return;
    // Hill climbing: continue in the same direction while the rate rises, else turn back.
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
