import type { PendingSpan } from "./pending.ts";

/**
 * The bound on compressed bytes that are on their way or wait to be inflated: they are in memory, each
 * for a moment twice. One bound for all hosts and layers together.
 */
export class HeldBytes {
  readonly #maxBytes: number;
  readonly #onFreed: () => void;
  readonly #spans = new Set<PendingSpan>();
  #bytes = 0;

  /** @param onFreed told when there is more room. */
  constructor(maxBytes: number, onFreed: () => void) {
    this.#maxBytes = maxBytes;
    this.#onFreed = onFreed;
  }

  /** Bytes that may still come. */
  get roomBytes(): number {
    return this.#maxBytes - this.#bytes;
  }

  /** Whether a span may be asked for now. One may always, whatever its size. */
  fits(pending: PendingSpan): boolean {
    return this.#bytes === 0 || pending.sizeBytes <= this.roomBytes;
  }

  /** Counts a span until it is settled, or `release`d. */
  hold(pending: PendingSpan): void {
    this.#spans.add(pending);
    this.#bytes += pending.sizeBytes;
    const release = () => this.release(pending);
    pending.done.then(release, release);
  }

  /** A span takes no memory any more. */
  release(pending: PendingSpan): void {
    if (!this.#spans.delete(pending)) return;
    this.#bytes -= pending.sizeBytes;
    this.#onFreed();
  }
}
