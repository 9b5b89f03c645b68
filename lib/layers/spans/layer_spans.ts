import { OsError } from "../../host/os/mod.ts";
import type { SpanClass } from "./classes.ts";
import { SpanError, type SpanErrorKind } from "./errors.ts";
import type { LayerReaderOptions } from "./options.ts";
import { PendingSpan, type ScheduledLayer } from "./pending.ts";
import { LayerRanges } from "./ranges.ts";
import { SpanState, SpanStates } from "./span_states.ts";
import type { UncachedLayer } from "./uncached.ts";

/** What readers of a layer want and have read. */
export interface LayerActivity {
  /** Reads that wait for bytes. */
  readonly readers: number;
  /** Compressed bytes that were asked for and are not here yet. */
  readonly fetchingBytes: number;
  /** Bytes of the tar that were read since their spans were last asked for, about. */
  readonly readBytes: number;
}

/**
 * The spans of one layer: their states and what belongs to each state. A pending span has waiters, a
 * failed one a reason. A span that is only in memory has its bytes, and one in the data file a presence
 * byte and a durable mark. The parts of a `LayerReader` change states only here, with two exceptions:
 * the scheduler takes the steps `send`, `requeue` and `retry`, and the fetcher takes `arrive`.
 */
export class LayerSpans implements UncachedLayer {
  readonly states: SpanStates;
  /** What is here of spans that are not. */
  readonly ranges: LayerRanges;
  /** Bytes of each span that were read since it was last requested: about, and up to 2^32. */
  readonly reads: Uint32Array;
  readonly #options: LayerReaderOptions;
  readonly #pending = new Map<number, PendingSpan>();
  /** Why spans are FAILED, one by one. */
  readonly #failures = new Map<number, SpanError>();
  /** Why all spans are FAILED. */
  #verdict: SpanError | null = null;
  /** Spans that came ahead of readers; some of them may have been read since. */
  readonly #ahead = new Set<number>();
  readonly #closed = new AbortController();
  #ended = false;
  /** Tasks that use descriptors. */
  readonly #tasks = new Set<Promise<void>>();

  constructor(options: LayerReaderOptions) {
    this.#options = options;
    const { map, spans } = options;
    this.reads = options.reads ?? new Uint32Array(spans.count);
    this.states = new SpanStates(spans.count, (span) => map.has(span));
    this.ranges = new LayerRanges(options, this);
  }

  /** The spans that hold bytes [offset, offset + length). */
  spansOf(offset: number, length: number): { first: number; last: number } {
    const { spans } = this.#options;
    return {
      first: spans.spanAt(offset),
      last: spans.spanAt(offset + length - 1),
    };
  }

  /** Pending spans by number. */
  get pending(): ReadonlyMap<number, PendingSpan> {
    return this.#pending;
  }

  /** Aborted once the layer serves nothing any more; the reason says why. */
  get closed(): AbortSignal {
    return this.#closed.signal;
  }

  /** Whether `close` was called: another reader may open the files soon. */
  get ended(): boolean {
    return this.#ended;
  }

  /** An error about one span. */
  error(kind: SpanErrorKind, span: number, detail: string): SpanError {
    const { layerDigest, spans } = this.#options;
    const offset = spans.compressedStart(span);
    return new SpanError(kind, layerDigest, span, offset, detail);
  }

  /** Why a span is FAILED. */
  failure(span: number): SpanError {
    return this.#verdict ?? this.#failures.get(span)!;
  }

  /** Requests a span that is missing or leaving. */
  want(layer: ScheduledLayer, span: number, cls: SpanClass): PendingSpan {
    this.states.step(span, "want");
    this.reads[span] = 0;
    this.#ahead.delete(span);
    const pending = new PendingSpan(layer, span, cls);
    this.#pending.set(span, pending);
    return pending;
  }

  /** A reader of bytes [offset, offset + length) came; `span` holds the first of them. */
  read(offset: number, length: number, span: number): void {
    const { spans } = this.#options;
    const end = offset + length;
    for (let at = offset; at < end; span++) {
      const to = Math.min(end, spans.end(span));
      this.reads[span]! += to - at;
      at = to;
    }
  }

  /** Compressed bytes of spans that came ahead of readers and were not read yet, evicted ones included. */
  get unreadAheadBytes(): number {
    const { spans } = this.#options;
    let bytes = 0;
    for (const span of this.#ahead) {
      if (this.reads[span]! > 0) this.#ahead.delete(span);
      else bytes += spans.compressedEnd(span) - spans.compressedStart(span);
    }
    return bytes;
  }

  /** What is going on at this moment, and how much of what is here was read. */
  get activity(): LayerActivity {
    const { spans } = this.#options;
    const now = { readers: 0, fetchingBytes: 0, readBytes: 0 };
    for (const pending of this.#pending.values()) {
      if (pending.cls === "demand") now.readers += pending.waiters;
      if (pending.request !== null) now.fetchingBytes += pending.sizeBytes;
    }
    for (let span = 0; span < this.reads.length; span++) {
      const bytes = this.reads[span]!;
      if (bytes > 0) {
        now.readBytes += Math.min(bytes, spans.end(span) - spans.start(span));
      }
    }
    return now;
  }

  /** Begins to compare a span that an earlier process left. */
  check(layer: ScheduledLayer, span: number): PendingSpan {
    this.states.step(span, "check");
    const pending = new PendingSpan(layer, span, "demand");
    this.#pending.set(span, pending);
    return pending;
  }

  /** Makes the next reader of a span ask for it, now or once the span is here. */
  watch(span: number): void {
    if (this.states.at(span) === SpanState.PRESENT) {
      return this.#options.map.watch(span);
    }
    // A span that is only in memory needs no mark: its readers ask anyway.
    const pending = this.#pending.get(span);
    if (pending !== undefined) pending.watched = true;
  }

  /** What an earlier process left of a span is what it wrote: every reader may see it. */
  confirmed(span: number, sum: number): void {
    this.states.step(span, "confirm");
    try {
      this.#options.map.confirm(span, sum);
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      this.#options.uncached.diskFull(error.message);
    }
    const pending = this.#pending.get(span);
    if (pending?.watched) this.#options.map.watch(span);
    this.#settle(pending)?.resolve();
  }

  /**
   * A span's bytes are in the data file and checked: every reader may see them.
   * @param sum their CRC-32.
   */
  written(span: number, sum: number): void {
    const { map, uncached, onPresent, onComplete } = this.#options;
    const wasHeld = this.states.at(span) === SpanState.HELD;
    this.states.step(span, "write");
    try {
      map.mark(span, sum);
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      uncached.diskFull(error.message); // readable now; fetched again after a restart
    }
    this.ranges.forget(span);
    if (wasHeld) uncached.delete(this, span);
    const pending = this.#pending.get(span);
    if (pending?.watched) map.watch(span);
    if (pending?.cls === "expected" || pending?.cls === "prefetch") {
      this.#ahead.add(span);
    }
    this.#settle(pending)?.resolve();
    onPresent?.(span);
    if (this.states.presentCount === this.states.count) onComplete?.();
  }

  /** A span's bytes are checked, but only in memory. */
  held(span: number, bytes: Uint8Array<ArrayBuffer>): void {
    this.states.step(span, "hold");
    this.#options.uncached.put(this, span, bytes);
    this.ranges.forget(span);
    this.#settle(this.#pending.get(span))?.resolve();
  }

  pushedOut(span: number): void {
    this.states.step(span, "pushOut");
  }

  /** A pending span will not arrive. The next reader that wants it starts a new request. */
  giveUp(pending: PendingSpan, error: unknown): void {
    this.#unqueue(pending);
    this.#settle(pending)?.reject(error);
    this.states.step(pending.span, "giveUp");
  }

  /** A span failed for good; its waiters get the error. It must not be PRESENT. */
  fail(span: number, error: SpanError): void {
    const pending = this.#pending.get(span);
    if (pending !== undefined) this.#unqueue(pending);
    if (this.states.at(span) === SpanState.HELD) {
      this.#options.uncached.delete(this, span);
    }
    this.#settle(pending)?.reject(error);
    if (this.#verdict === null) this.#failures.set(span, error);
    this.states.step(span, "fail");
    this.ranges.forget(span);
  }

  /** All spans fail for one reason. None may be PRESENT. */
  failAll(error: SpanError): void {
    this.#verdict = error;
    for (let span = 0; span < this.states.count; span++) this.fail(span, error);
  }

  #unqueue(pending: PendingSpan): void {
    if (this.states.at(pending.span) !== SpanState.QUEUED) return;
    this.#options.scheduler.remove(pending);
  }

  #settle(pending: PendingSpan | undefined): PendingSpan | undefined {
    if (pending !== undefined) this.#pending.delete(pending.span);
    return pending;
  }

  /** Makes `close` wait for a task that uses descriptors. */
  track(task: Promise<void>): void {
    const tracked = task.finally(() => this.#tasks.delete(tracked));
    this.#tasks.add(tracked);
  }

  /** Refuses new wants from now on, and aborts running fetches with the reason. */
  refuse(reason: Error): void {
    if (!this.closed.aborted) this.#closed.abort(reason);
    this.ranges.endOfPack();
  }

  /** Ends all tasks and drops bytes in memory; resolves when nothing uses the descriptors. */
  async close(): Promise<void> {
    this.#ended = true;
    this.refuse(new Error("the layer is no longer served"));
    for (const pending of [...this.#pending.values()]) {
      this.giveUp(pending, this.closed.reason);
    }
    const { uncached } = this.#options;
    for (const span of uncached.of(this)) {
      uncached.delete(this, span);
      this.pushedOut(span);
    }
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
  }
}
