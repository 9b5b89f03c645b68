import { OsError, punchHole } from "../../host/os/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import type { SpanError } from "./errors.ts";
import type { LayerSpans } from "./layer_spans.ts";
import type { LayerReaderOptions } from "./options.ts";
import { SpanState } from "./span_states.ts";

const log = logger("spans");

/** Evict and condemn: how spans of one layer go. */
export class SpanEvictions {
  readonly #options: LayerReaderOptions;
  readonly #spans: LayerSpans;
  #count = 0;

  constructor(options: LayerReaderOptions, spans: LayerSpans) {
    this.#options = options;
    this.#spans = spans;
  }

  /** How often spans were given up. */
  get count(): number {
    return this.#count;
  }

  /**
   * Gives up spans and their room on disk. They are missing when this returns, and their disk blocks
   * are free when it resolves.
   */
  async evict(wanted: readonly number[]): Promise<void> {
    const { map, onGone } = this.#options;
    const victims = this.#leave(wanted);
    if (victims.length === 0) return;
    this.#count++;
    try {
      const cleared = map.clear(victims);
      await Promise.all([cleared, onGone?.()]);
      this.#punch(victims);
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      // They are missing, and their blocks stay until they are fetched again.
      log.warn("cache could not be made smaller", {
        layer: this.#options.layerDigest,
        error: error.message,
      });
    } finally {
      for (const span of victims) this.#gone(span);
    }
  }

  /** @returns those that were present. */
  #leave(wanted: readonly number[]): number[] {
    const { states } = this.#spans;
    const victims: number[] = [];
    for (const span of wanted) {
      if (states.at(span) !== SpanState.PRESENT) continue;
      states.step(span, "evict");
      victims.push(span);
    }
    return victims;
  }

  #punch(victims: readonly number[]): void {
    const { spans, dataFd, uncached } = this.#options;
    // Another reader may be opened over the same files once this one is closed.
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

  /** What is in the data file may not be what was written there. */
  disbelieve(): void {
    const all = Array.from(
      { length: this.#spans.states.count },
      (_, span) => span,
    );
    this.#spans.track(this.evict(all));
  }

  /** A span that was believed until now is wrong for good: it is not given to anybody any more. */
  withdraw(span: number, error: SpanError): void {
    this.#spans.track(this.evict([span]));
    this.#spans.fail(span, error);
  }

  /** Serves nothing any more: every read fails with `error`, also of what is here. */
  condemn(error: SpanError): void {
    this.#spans.refuse(error);
    this.disbelieve();
    this.#spans.failAll(error);
  }
}
