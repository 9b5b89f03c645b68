import { MISSING } from "../../presence/mod.ts";

/** How long the bytes of a removed layer stay unused, ms: far longer than any Worker's request. */
const QUARANTINE_MS = 10_000;

interface Run {
  start: number;
  length: number;
}

/**
 * Hands out runs of bytes of the presence arena. Main isolate only.
 *
 * A Worker may be in the middle of a read when its layer is removed. Were the layer's bytes given
 * to another one at once, that read could take the other's PRESENT for its own and serve a hole. So
 * a run is MISSING from its release on, and rests before it is used again.
 */
export class PresenceArena {
  /** All presence bytes; whose they are is said by what was allocated. */
  readonly bytes: Uint8Array;
  readonly #quarantineMs: number;
  #free: Run[];
  #resting: (Run & { readonly untilMs: number })[] = [];

  /**
   * Everything is free.
   * @param memory zeros, a byte for each span there is room for.
   * @param options.quarantineMs how long a run rests before it is used again.
   */
  constructor(
    readonly memory: SharedArrayBuffer,
    options: { readonly quarantineMs?: number } = {},
  ) {
    this.bytes = new Uint8Array(memory);
    this.#quarantineMs = options.quarantineMs ?? QUARANTINE_MS;
    this.#free = [{ start: 0, length: this.bytes.length }];
  }

  /** A run of `length` bytes, all MISSING. @throws RangeError when the arena is full. */
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

  /** Gives a run back. */
  release(start: number, length: number): void {
    if (length === 0) return;
    this.bytes.fill(MISSING, start, start + length);
    this.#resting.push({
      start,
      length,
      untilMs: performance.now() + this.#quarantineMs,
    });
  }

  /** Frees the runs that have rested, joining neighbours. */
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
