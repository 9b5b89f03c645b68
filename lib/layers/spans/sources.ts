import { NoSourceError } from "./errors.ts";
import { fetchInTime, type SpanSource } from "./source.ts";

/** A source that failed is asked after the others for so long, ms; twice as long each time, at most. */
const FIRST_REST_MS = 10_000;
const LAST_REST_MS = 10 * 60_000;
/** One that gave wrong bytes, for so long, ms. */
const DISTRUST_MS = 10 * 60_000;

/** What a source did. */
export type SourceDeed =
  /** It gave what was asked for, as far as that can be seen before the bytes are checked. */
  | "gave"
  /** It said that it does not, or broke off. */
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
 * Where the bytes of one layer may come from: every repository that holds its blob, for as long as
 * somebody uses the layer on that repository's word. What any of them gives is checked, so which one
 * is asked decides how soon bytes come and never which bytes are read.
 *
 * They are asked in the order in which they came, those that failed, hang or lied lately after the
 * others. Nobody is left out for good: when all have failed, all are tried again.
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

  /** One source, used by nobody in particular: it stays until the end. */
  static of(source: SpanSource): SpanSources {
    const sources = new SpanSources();
    sources.add("", source);
    return sources;
  }

  /**
   * A claimant uses the layer from this source; it is taken over and disposed of with its last use.
   * When that claimant is here already, one more use is counted and `source` is disposed of at once.
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
   * One use of a claimant ends; with the last one its source is no longer one of them.
   * @returns the source that left, if one did.
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

  /** All of them, in the order in which they came. */
  all(): SpanSource[] {
    return this.#entries.map(({ source }) => source);
  }

  /**
   * Which one to ask now.
   * @param options.tried how often each was asked in vain already: the least often asked goes first.
   * @param options.isSlow whether a source's repository hangs or drips.
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
    if (entry === undefined) return; // it left meanwhile
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
   * Fills `into` as `SpanSource.fetch` does, from one source after another: for what the scheduler
   * does not see to.
   * @param options.timeoutMs how long each may take.
   * @throws the last source's error, NoSourceError, or the signal's reason.
   */
  async fetch(
    start: number,
    end: number,
    into: Uint8Array<ArrayBuffer>,
    options: { readonly signal: AbortSignal; readonly timeoutMs: number },
  ): Promise<void> {
    const { signal, timeoutMs } = options;
    const tried = new Map<SpanSource, number>();
    let failure: unknown = new NoSourceError();
    for (;;) {
      const source = this.pick({ tried });
      if (source === null || tried.has(source)) throw failure;
      tried.set(source, 1);
      const late = AbortSignal.timeout(timeoutMs);
      try {
        const either = AbortSignal.any([signal, late]);
        return await fetchInTime(source, { start, end }, into, either);
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

/** Ends a source that holds something. */
export function disposeSource(source: SpanSource): void {
  if (Symbol.dispose in source) (source as Disposable)[Symbol.dispose]();
}
