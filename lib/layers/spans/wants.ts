import type { SpanArrivals } from "./arrivals.ts";
import type { SpanChecks } from "./checks.ts";
import { isBefore, type SpanClass } from "./classes.ts";
import type { SpanCopies } from "./copies.ts";
import type { LayerSpans } from "./layer_spans.ts";
import type { LayerReaderOptions } from "./options.ts";
import type { PendingSpan, ScheduledLayer } from "./pending.ts";
import { readAhead, type ReadLayer } from "./read_ahead.ts";
import { SpanState } from "./span_states.ts";

/** Requests and waiters: what readers of one layer want, and what is read ahead for them. */
export class SpanWants {
  readonly #options: LayerReaderOptions;
  readonly #spans: LayerSpans;
  readonly #layer: ScheduledLayer;
  readonly #arrivals: SpanArrivals;
  readonly #checks: SpanChecks;
  readonly #copies: SpanCopies;
  readonly #read: ReadLayer;

  /** @param layer the layer in the form that the scheduler uses. */
  constructor(
    options: LayerReaderOptions,
    spans: LayerSpans,
    layer: ScheduledLayer,
    arrivals: SpanArrivals,
    checks: SpanChecks,
    copies: SpanCopies,
  ) {
    this.#options = options;
    this.#spans = spans;
    this.#layer = layer;
    this.#arrivals = arrivals;
    this.#checks = checks;
    this.#copies = copies;
    this.#read = {
      count: spans.states.count,
      start: (span) => options.spans.start(span),
      end: (span) => options.spans.end(span),
      compressedStart: (span) => layer.compressedStart(span),
      compressedEnd: (span) => layer.compressedEnd(span),
      readBytes: (span) => spans.reads[span]!,
      bytesPerMs: () =>
        options.scheduler.bytesPerMs(options.scheduler.hostOf(layer)),
      maxBytes: options.maxReadAheadBytes ?? Infinity,
    };
  }

  /**
   * Requests the spans that hold bytes [offset, offset + length). For a reader, counts them as read and
   * requests the read-ahead that they suggest.
   * @returns as `ask`. @throws as `ask`
   */
  askBytes(
    offset: number,
    length: number,
    cls: SpanClass,
  ): PendingSpan[] | null {
    const { spans } = this.#options;
    const first = spans.spanAt(offset);
    const last = spans.spanAt(offset + length - 1);
    const waits = this.ask(first, last, cls);
    if (cls === "demand") {
      this.#spans.read(offset, length, first);
      this.#lookAhead(offset, first, last);
    }
    return waits;
  }

  /**
   * Requests spans `first` to `last`.
   * @returns the pending spans to wait for; null when all spans are here.
   * @throws SpanError when one has failed for good.
   */
  ask(first: number, last: number, cls: SpanClass): PendingSpan[] | null {
    let waits: PendingSpan[] | null = null; // allocated only when a span is missing
    for (let span = first; span <= last; span++) {
      const pending = this.#want(span, cls);
      if (pending !== null) (waits ??= []).push(pending);
    }
    return waits;
  }

  /** Resolves when all pending spans are here. @throws as `LayerReader.ensure` */
  async wait(
    waits: readonly PendingSpan[],
    signal: AbortSignal,
  ): Promise<void> {
    const left = Promise.withResolvers<never>();
    const leave = () => {
      for (const pending of waits) this.#leave(pending, signal.reason);
      left.reject(signal.reason);
    };
    signal.addEventListener("abort", leave, { once: true });
    try {
      await Promise.race([
        Promise.all(waits.map(({ done }) => done)),
        left.promise,
      ]);
    } finally {
      signal.removeEventListener("abort", leave);
    }
  }

  /** Joins or starts the pending span; null when the span is here. @throws SpanError */
  #want(span: number, cls: SpanClass): PendingSpan | null {
    switch (this.#spans.states.at(span)) {
      case SpanState.PRESENT:
        return null;
      case SpanState.UNCHECKED:
        return this.#check(span);
      case SpanState.HELD:
        this.#arrivals.tryDisk(span);
        return null;
      case SpanState.FAILED:
        throw this.#spans.failure(span);
      case SpanState.MISSING:
        return this.#queue(span, cls);
      case SpanState.LEAVING: // queued when its bytes are gone
        return this.#begin(span, cls);
      case SpanState.QUEUED:
      case SpanState.FETCHING:
      case SpanState.INFLATING:
      case SpanState.RECALLED:
      case SpanState.CHECKING:
        return this.#join(this.#spans.pending.get(span)!, cls);
      case undefined:
        throw new RangeError(`there is no span ${span}`);
    }
  }

  #begin(span: number, cls: SpanClass): PendingSpan {
    if (this.#spans.closed.aborted) {
      throw this.#spans.error("closed", span, "the layer is no longer served");
    }
    return this.#spans.want(this.#layer, span, cls);
  }

  #check(span: number): PendingSpan {
    if (this.#spans.closed.aborted) {
      throw this.#spans.error("closed", span, "the layer is no longer served");
    }
    return this.#checks.begin(span);
  }

  #queue(span: number, cls: SpanClass): PendingSpan {
    const pending = this.#begin(span, cls);
    if (!this.#copies.borrow(pending)) this.#options.scheduler.add(pending);
    return pending;
  }

  #join(pending: PendingSpan, cls: SpanClass): PendingSpan {
    pending.waiters++;
    const state = this.#spans.states.at(pending.span);
    if (state !== SpanState.RECALLED && state !== SpanState.CHECKING) {
      this.#options.scheduler.raise(pending, cls);
    } else if (isBefore(cls, pending.cls)) pending.cls = cls;
    return pending;
  }

  /** Drops one waiter. After the last one, a span that is still queued is not fetched. */
  #leave(pending: PendingSpan, reason: unknown): void {
    if (--pending.waiters > 0 || pending.settled) return;
    const state = this.#spans.states.at(pending.span);
    if (state !== SpanState.QUEUED && state !== SpanState.RECALLED) return;
    this.#spans.giveUp(pending, reason);
  }

  #lookAhead(offset: number, first: number, last: number): void {
    const { map, uncached } = this.#options;
    for (let span = first; span <= last; span++) map.unwatch(span);
    if (uncached.broken.aborted) return; // only memory is left, and there is little of it
    const ahead = readAhead(this.#read, offset, last);
    if (ahead === null || this.#spans.closed.aborted) return;
    for (let span = ahead.first; span <= ahead.last; span++) {
      const state = this.#spans.states.at(span);
      // Others are here, under way, or cannot come.
      if (
        state !== SpanState.MISSING && state !== SpanState.LEAVING &&
        state !== SpanState.UNCHECKED
      ) continue;
      this.#want(span, "prefetch");
    }
    this.#spans.watch(ahead.watch);
  }
}
