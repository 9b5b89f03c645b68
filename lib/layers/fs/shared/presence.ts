import { MISSING } from "../../presence/mod.ts";

/**
 * How long the presence bytes of a removed layer are not reused, ms: far longer than any Worker's
 * request.
 */
const QUARANTINE_MS = 10_000;

interface Run {
  start: number;
  length: number;
}

/**
 * Allocates ranges of bytes of the presence arena. Main isolate only.
 *
 * A Worker may be in the middle of a read when its layer is removed. If another layer got the same bytes
 * at once, that read could mistake the other layer's PRESENT for its own and serve a hole. So a range is
 * set to MISSING when it is released, and rests before it is reused.
 */
export class PresenceArena {
  /** All presence bytes, of all layers. */
  readonly bytes: Uint8Array;
  readonly #quarantineMs: number;
  #free: Run[];
  #resting: (Run & { readonly untilMs: number })[] = [];

  /**
   * Starts with everything free.
   * @param memory zeros, one byte for each span of the capacity.
   * @param options.quarantineMs how long a range rests before it is reused.
   */
  constructor(
    readonly memory: SharedArrayBuffer,
    options: { readonly quarantineMs?: number } = {},
  ) {
    this.bytes = new Uint8Array(memory);
    this.#quarantineMs = options.quarantineMs ?? QUARANTINE_MS;
    this.#free = [{ start: 0, length: this.bytes.length }];
  }

  /** Allocates `length` bytes, all MISSING. @throws RangeError when the arena is full. */
  allocate(length: number): number {
    this.#reclaim();
    const at = this.#free.findIndex((run) => run.length >= length);
    const run = this.#free[at];
    if (run === undefined) throw new RangeError("too many spans are mounted");
    const start = run.start;
    run.start += length;
    run.length -= length;
    if (run.length === 0) this.#free.splice(at, 1);
    this.bytes.fill(MISSING, start, start + length);
    return start;
  }

  /** Releases a range. */
  release(start: number, length: number): void {
    if (length === 0) return;
    this.bytes.fill(MISSING, start, start + length);
    this.#resting.push({
      start,
      length,
      untilMs: performance.now() + this.#quarantineMs,
    });
  }

  /** Frees the ranges that have rested, joining neighbours. */
  #reclaim(): void {
    const now = performance.now();
    const rested = this.#resting.filter(({ untilMs }) => untilMs <= now);
    if (rested.length === 0) return;
    this.#resting = this.#resting.filter(({ untilMs }) => untilMs > now);
    const runs = [
      ...this.#free,
      ...rested.map(({ start, length }) => ({ start, length })),
    ].sort((a, b) => a.start - b.start);
    this.#free = [];
    for (const run of runs) {
      const last = this.#free.at(-1);
      if (last !== undefined && last.start + last.length === run.start) {
        last.length += run.length;
      } else this.#free.push(run);
    }
  }
}
