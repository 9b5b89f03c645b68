import { NoSourceError } from "./errors.ts";
import { fetchInTime, type SpanSource } from "./source.ts";

/**
 * For this long, ms, a source that failed is tried only after the others. The time doubles with
 * each failure, up to a maximum.
 */
const FIRST_REST_MS = 10_000;
const LAST_REST_MS = 10 * 60_000;
/** As above, for a source that gave wrong bytes, ms. */
const DISTRUST_MS = 10 * 60_000;

/** What a source did. */
export type SourceDeed =
  /** It delivered; the bytes are not checked yet. */
  | "gave"
  /** It refused, or broke off. */
  | "failed"
  /** It gave next to nothing for a while. */
  | "quiet"
  /** It gave other bytes than the ztoc's digest says. */
  | "lied";

interface Entry {
  readonly claimant: string;
  readonly source: SpanSource;
  uses: number;
  failures: number;
  restsUntilMs: number;
  distrustedUntilMs: number;
}

/**
 * Where the bytes of one layer may come from: every repository that holds its blob, for as long as an
 * image from that repository uses the layer. All bytes are checked, so the choice of source decides only
 * how soon bytes arrive, never which bytes are read.
 *
 * Sources are tried in the order in which they were added. Those that failed, hung or lied recently come
 * after the others. No source is excluded for good: when all have failed, all are tried again.
 *
 * @example
 * ```ts
 * import { SpanSources } from "./sources.ts";
 * const nothing = { host: "a.example", fetch: () => Promise.reject(new Error("gone")) };
 * const other = { ...nothing, host: "b.example" };
 * using sources = new SpanSources();
 * sources.add("team-a", nothing);
 * sources.add("team-b", other);
 * sources.did(nothing, "failed");
 * if (sources.pick()?.host !== "b.example") throw new Error("it failed and is asked last");
 * sources.remove("team-b");
 * if (sources.pick()?.host !== "a.example") throw new Error("one is left");
 * ```
 */
export class SpanSources implements Disposable {
  #entries: Entry[] = [];

  /** A single source without a claimant: it stays until disposal. */
  static of(source: SpanSource): SpanSources {
    const sources = new SpanSources();
    sources.add("", source);
    return sources;
  }

  /**
   * Adds a claimant's source and takes ownership: it is disposed of with the claimant's last reference.
   * If the claimant is known already, its reference count is raised and `source` is disposed of at once.
   */
  add(claimant: string, source: SpanSource): void {
    const known = this.#of(claimant);
    if (known !== undefined) {
      known.uses++;
      if (known.source !== source) disposeSource(source);
      return;
    }
    this.#entries.push({
      claimant,
      source,
      uses: 1,
      failures: 0,
      restsUntilMs: -Infinity,
      distrustedUntilMs: -Infinity,
    });
  }

  /**
   * Drops one reference of a claimant; with the last one its source is removed.
   * @returns the removed source, if there is one.
   */
  remove(claimant: string): SpanSource | null {
    const entry = this.#of(claimant);
    if (entry === undefined || --entry.uses > 0) return null;
    this.#entries = this.#entries.filter((other) => other !== entry);
    disposeSource(entry.source);
    return entry.source;
  }

  #of(claimant: string): Entry | undefined {
    return this.#entries.find((entry) => entry.claimant === claimant);
  }

  /** Whether a claimant's source is here. */
  hasClaimant(claimant: string): boolean {
    return this.#of(claimant) !== undefined;
  }

  /** Number of sources. */
  get count(): number {
    return this.#entries.length;
  }

  /** All of them, in the order in which they were added. */
  all(): SpanSource[] {
    return this.#entries.map(({ source }) => source);
  }

  /**
   * Picks the source to try now.
   * @param options.tried how often each has failed already: the source with the fewest failures goes
   * first.
   * @param options.isSlow whether a source's repository hangs or trickles.
   * @returns null when there is none.
   */
  pick(
    options: {
      readonly tried?: ReadonlyMap<SpanSource, number>;
      readonly isSlow?: (source: SpanSource) => boolean;
    } = {},
  ): SpanSource | null {
    const { tried, isSlow } = options;
    const now = performance.now();
    let best: Entry | null = null;
    let least: readonly number[] = [];
    for (const entry of this.#entries) {
      const { source, distrustedUntilMs, restsUntilMs } = entry;
      const rank = [
        tried?.get(source) ?? 0,
        Number(now < distrustedUntilMs),
        Number(isSlow?.(source) ?? false) + Number(now < restsUntilMs),
      ];
      if (best !== null && !isLess(rank, least)) continue;
      best = entry;
      least = rank;
    }
    return best?.source ?? null;
  }

  /** Remembers what a source did, for a while. */
  did(
    source: SpanSource,
    deed: SourceDeed,
    nowMs = performance.now(),
  ): void {
    const entry = this.#entries.find((entry) => entry.source === source);
    if (entry === undefined) return; // removed meanwhile
    if (deed === "gave") {
      entry.failures = 0;
      entry.restsUntilMs = -Infinity;
    } else if (deed === "lied") {
      entry.distrustedUntilMs = nowMs + DISTRUST_MS;
    } else {
      const restMs = FIRST_REST_MS * 2 ** entry.failures++;
      entry.restsUntilMs = nowMs + Math.min(LAST_REST_MS, restMs);
    }
  }

  /**
   * Fills `into` as `SpanSource.fetch` does, trying one source after another: for fetches that do not go
   * through the scheduler.
   * @param options.timeoutMs how long each may take.
   * @param options.isRight whether the bytes are the layer's; may keep them. A source whose bytes are not lied.
   * @throws the last source's error, NoSourceError, or the signal's reason.
   */
  async fetch(
    start: number,
    end: number,
    into: Uint8Array<ArrayBuffer>,
    options: {
      readonly signal: AbortSignal;
      readonly timeoutMs: number;
      readonly isRight?: (bytes: Uint8Array<ArrayBuffer>) => Promise<boolean>;
    },
  ): Promise<void> {
    const { signal, timeoutMs, isRight } = options;
    const tried = new Map<SpanSource, number>();
    let failure: unknown = new NoSourceError();
    for (;;) {
      const source = this.pick({ tried });
      if (source === null || tried.has(source)) throw failure;
      tried.set(source, 1);
      const late = AbortSignal.timeout(timeoutMs);
      try {
        const either = AbortSignal.any([signal, late]);
        await fetchInTime(source, { start, end }, into, either);
        if (isRight === undefined || await isRight(into.slice())) return;
        this.did(source, "lied");
        failure = new Error(
          `${source.host} gives other bytes than the layer's`,
        );
      } catch (error) {
        signal.throwIfAborted();
        this.did(source, late.aborted ? "quiet" : "failed");
        failure = error;
      }
    }
  }

  /** Ends all of them. */
  [Symbol.dispose](): void {
    for (const { source } of this.#entries) disposeSource(source);
    this.#entries = [];
  }
}

function isLess(one: readonly number[], other: readonly number[]): boolean {
  for (const [at, value] of one.entries()) {
    if (value !== other[at]) return value < other[at]!;
  }
  return false;
}

/** Disposes of a source, if it is disposable. */
export function disposeSource(source: SpanSource): void {
  if (Symbol.dispose in source) (source as Disposable)[Symbol.dispose]();
}
