import type { InflateOutcome, InflateWork } from "./inflate_messages.ts";
import type { SpanTable } from "../../formats/ztoc/mod.ts";
import type { SpanClass } from "./classes.ts";
import type { HeaderTable } from "./headers.ts";
import type { InflatePool, InflateStream } from "./inflate_pool.ts";
import { type Flight, Preempted, type Run } from "./run.ts";
import type { SpanScheduler } from "./scheduler.ts";
import type { SpanSource } from "./source.ts";
import type { UncachedSpans } from "./uncached.ts";

/** A span that takes at least so long to come, ms, is inflated meanwhile. */
const MIN_STREAM_MS = 5;
const EMPTY_WINDOW = new Uint8Array(32768);

/** One layer, where its bytes come from and who inflates them. See `LayerReaderOptions`. */
export interface RunFetcherOptions {
  readonly spans: SpanTable;
  readonly compression: "gzip" | "uncompressed";
  /** The data file; open until `RunFetcherHooks.closed` is aborted and all flights have landed. */
  readonly dataFd: number;
  readonly source: SpanSource;
  readonly scheduler: SpanScheduler;
  readonly pool: InflatePool;
  readonly headers: HeaderTable | null;
  readonly uncached: UncachedSpans;
  readonly onFetched?: (bytes: number, cls: SpanClass) => void;
}

/** What a `RunFetcher` tells its reader, and hears from it. */
export interface RunFetcherHooks {
  /** Aborted when the layer's descriptors are about to be closed. */
  readonly closed: AbortSignal;
  /** A span's bytes have come, and are being checked and inflated. */
  readonly arrived: (flight: Flight, outcome: Promise<InflateOutcome>) => void;
}

/** Fetches ranges of one layer and hands each span to the inflate Workers as its bytes come. */
export class RunFetcher {
  readonly #options: RunFetcherOptions;
  readonly #hooks: RunFetcherHooks;
  /** The beginning of a span whose request was given up. */
  #partial: { readonly span: number; readonly bytes: Uint8Array } | null = null;

  constructor(options: RunFetcherOptions, hooks: RunFetcherHooks) {
    this.#options = options;
    this.#hooks = hooks;
  }

  /** See `RunLayer.fetchRun`. */
  async fetch(run: Run, onBytes: (count: number) => void): Promise<void> {
    const { pool, spans, source, onFetched } = this.#options;
    const { closed, arrived } = this.#hooks;
    const { flights } = run;
    closed.throwIfAborted();
    pool.wake();
    const start = spans.compressedStart(flights[0]!.span);
    const bytes = new Uint8Array(run.size);
    const kept = this.#takePartial(flights[0]!.span, bytes);
    run.received = kept;
    let stream: InflateStream | null = null;
    const progress = (filled: number) => {
      const count = kept + filled - run.received;
      if (count <= 0) return; // a retry begins where it likes
      closed.throwIfAborted();
      run.received += count;
      for (; run.next < flights.length; run.next++) {
        const flight = flights[run.next]!;
        const from = spans.compressedStart(flight.span) - start;
        const end = spans.compressedEnd(flight.span) - start;
        if (end > run.received) {
          stream ??= this.#stream(flight, from, end - run.received);
          stream?.reached(bytes, run.received);
          break;
        }
        const outcome = stream?.finish(bytes, end) ??
          this.#inflate(flight, bytes.slice(from, end));
        stream = null;
        flight.received = true;
        arrived(flight, outcome);
      }
      onBytes(count);
    };
    try {
      await source.fetch(
        start + kept,
        start + run.size,
        bytes.subarray(kept),
        AbortSignal.any([run.abort.signal, closed]),
        progress,
      );
      progress(run.size - kept);
    } catch (error) {
      // Assigned in a callback, which the compiler does not follow.
      (stream as InflateStream | null)?.drop();
      const next = flights[run.next];
      if (next !== undefined && run.abort.signal.reason instanceof Preempted) {
        const from = spans.compressedStart(next.span) - start;
        this.#keepPartial(next.span, bytes.slice(from, run.received));
      }
      throw error;
    } finally {
      onFetched?.(run.received - kept, run.cls);
    }
  }

  /** Fetches one span anew, without waiting for its turn: its first bytes were wrong. */
  async again(flight: Flight): Promise<InflateOutcome> {
    const { spans, source, onFetched } = this.#options;
    const start = spans.compressedStart(flight.span);
    const end = spans.compressedEnd(flight.span);
    const bytes = new Uint8Array(end - start);
    await source.fetch(start, end, bytes, this.#hooks.closed);
    onFetched?.(bytes.length, flight.cls);
    this.#hooks.closed.throwIfAborted();
    return await this.#inflate(flight, bytes);
  }

  #takePartial(span: number, into: Uint8Array): number {
    const partial = this.#partial;
    if (partial?.span !== span) return 0;
    this.#partial = null;
    into.set(partial.bytes);
    return partial.bytes.length;
  }

  #keepPartial(span: number, bytes: Uint8Array): void {
    if (bytes.length > 0) this.#partial = { span, bytes };
  }

  #inflate(
    { span, cls }: Flight,
    compressed: Uint8Array<ArrayBuffer>,
  ): Promise<InflateOutcome> {
    return this.#options.pool.run(this.#work(span), compressed, cls);
  }

  /** Has a span inflated while it comes, when somebody waits and that saves time. */
  #stream(
    { span, cls }: Flight,
    start: number,
    missing: number,
  ): InflateStream | null {
    const { compression, pool, scheduler, source } = this.#options;
    if (compression === "uncompressed" || cls === "background") return null;
    const rate = scheduler.bytesPerMs(source.host);
    if (rate > 0 && missing / rate < MIN_STREAM_MS) return null;
    return pool.stream(() => this.#work(span), start);
  }

  #work(span: number): InflateWork {
    const { spans, dataFd, headers, compression, uncached } = this.#options;
    return {
      fd: uncached.broken.aborted ? null : dataFd,
      digest: spans.digest(span),
      // Copied: posting a view would clone the whole ztoc it belongs to.
      checkpoint: compression === "uncompressed" ? null : {
        bits: spans.bits(span),
        window: new Uint8Array(spans.window(span) ?? EMPTY_WINDOW),
      },
      size: spans.end(span) - spans.start(span),
      offset: spans.start(span),
      headers: headers?.ofSpan(span) ?? null,
    };
  }
}
