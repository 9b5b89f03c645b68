import { OsError, punchHole } from "../../host/os/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import type { SpanError } from "./errors.ts";
import type { LayerSpans } from "./layer_spans.ts";
import type { LayerReaderOptions } from "./options.ts";
import { isInFile, SpanState } from "./span_states.ts";

const log = logger("spans");

/** Eviction, withdrawal and condemnation of the spans of one layer. */
export class SpanEvictions {
  readonly #options: LayerReaderOptions;
  readonly #spans: LayerSpans;
  #count = 0;

  constructor(options: LayerReaderOptions, spans: LayerSpans) {
    this.#options = options;
    this.#spans = spans;
  }

  /** How often spans were evicted. */
  get count(): number {
    return this.#count;
  }

  /**
   * Evicts spans. They are missing when this returns, and their disk blocks are free when it resolves.
   */
  async evict(wanted: readonly number[]): Promise<void> {
    const { map, onGone } = this.#options;
    const { ranges } = this.#spans;
    const victims = this.#leave(wanted);
    if (victims.length === 0) return;
    this.#count++;
    try {
      const cleared = map.clear(victims.filter((span) => map.has(span)));
      for (const span of victims) ranges.forget(span);
      await Promise.all([cleared, onGone?.()]);
      this.#punch(victims);
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      // The spans are missing, but their blocks stay allocated until they are fetched again.
      log.warn("cache could not be made smaller", {
        layer: this.#options.layerDigest,
        error: error.message,
      });
    } finally {
      for (const span of victims) this.#gone(span);
    }
  }

  /** @returns the spans that were in the data file, and those of which ranges were. */
  #leave(wanted: readonly number[]): number[] {
    const { states, ranges } = this.#spans;
    const victims: number[] = [];
    for (const span of wanted) {
      const state = states.at(span);
      const isPart = state === SpanState.MISSING && ranges.bytesOf(span) > 0;
      if (!isInFile(state) && !isPart) continue;
      states.step(span, "evict");
      victims.push(span);
    }
    return victims;
  }

  #punch(victims: readonly number[]): void {
    const { spans, dataFd, uncached, staysWhole = false } = this.#options;
    if (staysWhole) return;
    // After `close`, another reader may have opened the same files.
    if (this.#spans.ended || uncached.broken.aborted) return;
    for (const span of victims) {
      const start = spans.start(span);
      punchHole(dataFd, start, spans.end(span) - start);
    }
  }

  #gone(span: number): void {
    const state = this.#spans.states.step(span, "gone");
    if (state !== SpanState.QUEUED) return;
    this.#options.scheduler.add(this.#spans.pending.get(span)!);
  }

  /**
   * Nothing that came by a pack is shown from here on. Resolves when nobody copies it any more, and the disk
   * has its blocks back.
   */
  async dropRanges(): Promise<void> {
    const { ranges, states } = this.#spans;
    if (!ranges.isUsed) return ranges.forgetAll();
    const parts: number[] = [];
    for (let span = 0; span < states.count; span++) {
      if (ranges.bytesOf(span) > 0) parts.push(span);
    }
    const evicted = this.evict(parts);
    ranges.forgetAll(); // also of spans that are on their way, which replace their bytes
    await Promise.all([evicted, this.#options.onGone?.()]);
  }

  /** Makes all spans missing, because the data file can no longer be trusted. */
  disbelieve(): void {
    this.#spans.track(this.dropRanges());
    const all = Array.from(
      { length: this.#spans.states.count },
      (_, span) => span,
    );
    this.#spans.track(this.evict(all));
  }

  /** Takes away a span that was trusted and turned out to be wrong. No reader gets it any more. */
  withdraw(span: number, error: SpanError): void {
    this.#spans.track(this.evict([span]));
    this.#spans.fail(span, error);
  }

  /** Stops serving: every read fails with `error`, even of present spans. */
  condemn(error: SpanError): void {
    this.#spans.refuse(error);
    this.disbelieve();
    this.#spans.failAll(error);
  }
}
