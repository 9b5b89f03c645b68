/** How fast the background may fetch. @module */

/** Longer requests would keep readers waiting: a background request asks for what the limit allows in this time, ms. */
const REQUEST_MS = 250;

/** Limits of the background, of all layers together. */
export interface BackgroundLimits {
  /** The most compressed bytes per second. Default, or 0: no limit. */
  readonly backgroundBytesPerSecond?: number;
  /** The least time between two spans, ms. Default, or 0: none. */
  readonly backgroundPeriodMs?: number;
}

/** Says when the next background request may be sent, and how large it may be. */
export class BackgroundRate {
  readonly #bytesPerMs: number;
  readonly #periodMs: number;
  #nextMs = 0;

  /** Allows the first request at once. */
  constructor(limits: BackgroundLimits) {
    this.#bytesPerMs = (limits.backgroundBytesPerSecond || Infinity) / 1000;
    this.#periodMs = limits.backgroundPeriodMs ?? 0;
  }

  /** When the next request may be sent, by `performance.now()`. */
  get nextMs(): number {
    return this.#nextMs;
  }

  /** The most compressed bytes of one request; one span in any case. */
  get maxRequestBytes(): number {
    return this.#periodMs > 0 ? 1 : this.#bytesPerMs * REQUEST_MS;
  }

  /** A request was sent. */
  sent(bytes: number, spans: number, nowMs: number): void {
    this.#nextMs = Math.max(this.#nextMs, nowMs) + this.#takenMs(bytes, spans);
  }

  /** This much of a request will not come. */
  cancelled(bytes: number, spans: number): void {
    this.#nextMs -= this.#takenMs(bytes, spans);
  }

  #takenMs(bytes: number, spans: number): number {
    return Math.max(bytes / this.#bytesPerMs, spans * this.#periodMs);
  }
}
