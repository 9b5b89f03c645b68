import { WINDOW_BYTES } from "../../formats/deflate/mod.ts";
import { freeBuffer } from "../../host/memory/mod.ts";
import type { InflateOutcome, InflateWork } from "./inflate_messages.ts";
import type { InflateStream } from "./inflate_pool.ts";
import type { LayerSpans } from "./layer_spans.ts";
import type { LayerReaderOptions } from "./options.ts";
import {
  type PendingSpan,
  Preempted,
  type RangeRequest,
  type ScheduledLayer,
} from "./pending.ts";
import type { SpanSource } from "./source.ts";
import type { SpanSources } from "./sources.ts";
import type { SpanStates } from "./span_states.ts";

/** A span is inflated while it arrives if that takes at least this long, ms. */
const MIN_STREAM_MS = 5;
/** Beginnings of spans that are kept of each layer. */
const MAX_PARTIAL = 4;
const EMPTY_WINDOW = new Uint8Array(WINDOW_BYTES);

/** Called when a span's bytes have arrived from a source, and are being checked and inflated. */
export type OnArrived = (
  pending: PendingSpan,
  source: SpanSource,
  outcome: Promise<InflateOutcome>,
) => void;

/** The beginning of a span, and where it came from. */
interface PartialSpan {
  readonly source: SpanSource;
  readonly bytes: Uint8Array;
}

/**
 * Requests ranges from the sources of one layer, and passes each span to the inflate Workers as its
 * bytes arrive. The scheduler sees a layer through this class.
 */
export class LayerFetcher implements ScheduledLayer {
  readonly #options: LayerReaderOptions;
  readonly #spans: LayerSpans;
  readonly #onArrived: OnArrived;
  /** Beginnings of spans whose requests were cancelled, oldest first. */
  readonly #partial = new Map<number, PartialSpan>();

  constructor(
    options: LayerReaderOptions,
    spans: LayerSpans,
    onArrived: OnArrived,
  ) {
    this.#options = options;
    this.#spans = spans;
    this.#onArrived = onArrived;
  }

  get sources(): SpanSources {
    return this.#options.sources;
  }

  get states(): SpanStates {
    return this.#spans.states;
  }

  get pending(): ReadonlyMap<number, PendingSpan> {
    return this.#spans.pending;
  }

  compressedStart(span: number): number {
    return this.#options.spans.compressedStart(span);
  }

  compressedEnd(span: number): number {
    return this.#options.spans.compressedEnd(span);
  }

  lost(pending: PendingSpan, error: unknown): void {
    this.#spans.giveUp(pending, error);
  }

  async fetch(
    request: RangeRequest,
    onBytes: (count: number) => void,
  ): Promise<void> {
    const { pool, onFetched } = this.#options;
    const { closed } = this.#spans;
    const { spans, sizeBytes, source } = request;
    closed.throwIfAborted();
    pool.wake();
    const start = this.compressedStart(spans[0]!.span);
    const bytes = new Uint8Array(sizeBytes);
    const kept = this.#takePartial(request, bytes);
    request.received = kept;
    let stream: InflateStream | null = null;
    const progress = (filled: number) => {
      const count = kept + filled - request.received;
      if (count <= 0) return; // a retry inside the source may start earlier
      closed.throwIfAborted();
      request.received += count;
      for (; request.next < spans.length; request.next++) {
        const pending = spans[request.next]!;
        const from = this.compressedStart(pending.span) - start;
        const end = this.compressedEnd(pending.span) - start;
        if (end > request.received) {
          stream ??= this.#stream(
            request,
            pending,
            { start: from, end },
          );
          stream?.reached(bytes, request.received);
          break;
        }
        this.states.step(pending.span, "arrive");
        const outcome = stream?.finish(
          bytes,
          end,
          this.#spans.ranges.ofSpan(pending.span),
        ) ??
          this.#inflate(request, pending, bytes.slice(from, end));
        stream = null;
        this.#onArrived(pending, source, outcome);
      }
      onBytes(count);
    };
    try {
      await source.fetch(
        start + kept,
        start + sizeBytes,
        bytes.subarray(kept),
        AbortSignal.any([request.abort.signal, closed]),
        progress,
      );
      progress(sizeBytes - kept);
      freeBuffer(bytes.buffer); // each span was copied
    } catch (error) {
      // Assigned in a callback, which the compiler does not follow.
      (stream as InflateStream | null)?.drop();
      const next = spans[request.next];
      if (
        next !== undefined && request.abort.signal.reason instanceof Preempted
      ) {
        const from = this.compressedStart(next.span) - start;
        this.#keepPartial(next.span, {
          source,
          bytes: bytes.slice(from, request.received),
        });
      }
      throw error;
    } finally {
      onFetched?.(request.received - kept, request.cls, request.next);
    }
  }

  #takePartial({ spans, source }: RangeRequest, into: Uint8Array): number {
    const partial = this.#partial.get(spans[0]!.span);
    for (const { span } of spans) this.#partial.delete(span);
    // A mix of two sources' bytes would not show which of them lied.
    if (partial === undefined || partial.source !== source) return 0;
    into.set(partial.bytes);
    return partial.bytes.length;
  }

  #keepPartial(span: number, partial: PartialSpan): void {
    if (partial.bytes.length === 0) return;
    const [oldest] = this.#partial.keys();
    if (this.#partial.size === MAX_PARTIAL) this.#partial.delete(oldest!);
    this.#partial.set(span, partial);
  }

  #inflate(
    { lane }: RangeRequest,
    { span, cls }: PendingSpan,
    compressed: Uint8Array<ArrayBuffer>,
  ): Promise<InflateOutcome> {
    return this.#options.pool.run(this.work(span), compressed, cls, lane.name);
  }

  /** Inflates a span while it arrives, if a reader waits and it saves time. */
  #stream(
    { lane, received }: RangeRequest,
    { span, cls }: PendingSpan,
    range: { readonly start: number; readonly end: number },
  ): InflateStream | null {
    const { compression, pool, scheduler } = this.#options;
    if (compression !== "gzip" || cls === "background") return null;
    // It would occupy a Worker's memory for a long time, or its time for nothing.
    if (lane.slow || lane.lies) return null;
    const rate = scheduler.bytesPerMs(lane.host);
    if (rate > 0 && (range.end - received) / rate < MIN_STREAM_MS) return null;
    return pool.stream(
      () => this.work(span),
      { ...range, bytesPerMs: rate },
      lane.name,
    );
  }

  /** What an inflate Worker is to do with a span's bytes. */
  work(span: number): InflateWork {
    const { spans, dataFd, headers, compression, uncached } = this.#options;
    return {
      fd: uncached.mayTakeRoom ? dataFd : null,
      digest: spans.digest(span),
      // Copied: posting a view would clone the whole ztoc it belongs to.
      packing: compression !== "gzip" ? { kind: compression } : {
        kind: compression,
        bits: spans.bits(span),
        window: new Uint8Array(spans.window(span) ?? EMPTY_WINDOW),
      },
      size: spans.end(span) - spans.start(span),
      offset: spans.start(span),
      headers: headers?.ofSpan(span) ?? null,
      packed: this.#spans.ranges.ofSpan(span),
    };
  }
}
