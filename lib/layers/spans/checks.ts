import { logger } from "../../telemetry/mod.ts";
import type { SpanEvictions } from "./evictions.ts";
import type { LayerSpans } from "./layer_spans.ts";
import type { LayerReaderOptions } from "./options.ts";
import type { PendingSpan, ScheduledLayer } from "./pending.ts";
import { SpanState } from "./span_states.ts";

const log = logger("spans");
/** How often a span is compared again after a Worker broke down over it. */
const TRIES = 3;

/**
 * Compares what an earlier process left in the data file with its checksums, span by span, before the span is
 * first used. A span that the disk has changed is fetched again; nobody is blamed for it.
 */
export class SpanChecks {
  readonly #options: LayerReaderOptions;
  readonly #spans: LayerSpans;
  readonly #layer: ScheduledLayer;
  readonly #evictions: SpanEvictions;
  readonly #running = new Map<number, Promise<void>>();

  /** @param layer the layer in the form that the scheduler uses. */
  constructor(
    options: LayerReaderOptions,
    spans: LayerSpans,
    layer: ScheduledLayer,
    evictions: SpanEvictions,
  ) {
    this.#options = options;
    this.#spans = spans;
    this.#layer = layer;
    this.#evictions = evictions;
  }

  /** Begins to compare an UNCHECKED span, for one waiter. */
  begin(span: number): PendingSpan {
    const pending = this.#spans.check(this.#layer, span);
    const compared = this.#compare(pending)
      .finally(() => this.#running.delete(span));
    this.#running.set(span, compared);
    this.#spans.track(compared);
    return pending;
  }

  /**
   * Resolves when none of the spans `first` to `last` is still to be compared. Fetches nothing: those that were
   * changed are missing then.
   */
  async settled(first: number, last: number): Promise<void> {
    const { states, closed } = this.#spans;
    for (let span = first; span <= last; span++) {
      if (closed.aborted) return;
      if (states.at(span) === SpanState.UNCHECKED) this.begin(span).waiters--;
      await this.#running.get(span);
    }
  }

  async #compare(pending: PendingSpan): Promise<void> {
    const { map, pool, spans, dataFd, uncached, layerDigest, onDamaged } =
      this.#options;
    const { span } = pending;
    const start = spans.start(span);
    const part = { fd: dataFd, offset: start, size: spans.end(span) - start };
    for (let tries = 1; !pending.settled; tries++) {
      const outcome = await pool.sum(part, layerDigest);
      // Evicted, condemned or closed meanwhile: others see to it.
      if (this.#spans.states.at(span) !== SpanState.CHECKING) return;
      switch (outcome.kind) {
        case "sum":
          if (map.isAsWritten(span, outcome.sum)) {
            return this.#spans.confirmed(span, outcome.sum);
          }
          log.error(
            "the disk changed bytes of a layer, they are fetched again",
            {
              layer: layerDigest,
              span,
            },
          );
          onDamaged?.();
          return this.#fetchAgain(pending);
        case "short":
          return this.#fetchAgain(pending);
        case "unreadable":
          return uncached.diskBroken(outcome.detail); // all spans leave
        case "worker":
          if (tries < TRIES) continue;
          return this.#spans.giveUp(
            pending,
            this.#spans.error("worker", span, outcome.detail),
          );
      }
    }
  }

  #fetchAgain(pending: PendingSpan): void {
    this.#spans.track(this.#evictions.evict([pending.span]));
    if (pending.waiters <= 0) {
      this.#spans.giveUp(pending, new Error("nobody waits for it"));
    }
  }
}
