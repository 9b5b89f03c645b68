import { logger } from "../telemetry/mod.ts";
import type { SpanTable } from "../ztoc/mod.ts";
import { SpanError } from "./errors.ts";
import type { InflatePool } from "./inflate_pool.ts";
import type { SpanMap } from "./map.ts";
import type { SpanClass, SpanScheduler } from "./scheduler.ts";
import type { SpanSource } from "./source.ts";

const log = logger("spans");

/** Compressed bytes one range request may ask for, unless a single span is larger. */
const MAX_RUN_BYTES = 8 * 2 ** 20;
/** How often a span with a wrong digest is fetched again. */
const DIGEST_RETRIES = 3;

/** What a `LayerReader` works with. It owns none of it. */
export interface LayerReaderOptions {
  readonly layerDigest: string;
  readonly spans: SpanTable;
  /** Whether spans are gzip pieces, or plain bytes. */
  readonly compression: "gzip" | "uncompressed";
  readonly map: SpanMap;
  /** The data file. */
  readonly dataFd: number;
  readonly source: SpanSource;
  readonly scheduler: SpanScheduler;
  readonly pool: InflatePool;
  /** Told the compressed bytes of each range fetched. */
  readonly onFetched?: (bytes: number, cls: SpanClass) => void;
}

interface Flight {
  readonly done: Promise<void>;
  readonly raise: (cls: SpanClass) => void;
}

/** Makes ranges of one layer's data file readable. */
export class LayerReader {
  readonly #options: LayerReaderOptions;
  /** Spans asked for and not yet here. */
  readonly #flights = new Map<number, Flight>();
  readonly #closed = new AbortController();

  constructor(options: LayerReaderOptions) {
    this.#options = options;
  }

  /**
   * Resolves when bytes [offset, offset + length) are in the data file.
   * @throws SpanError, or the source's error, or the signal's reason.
   */
  async ensure(
    offset: number,
    length: number,
    cls: SpanClass,
    signal: AbortSignal,
  ): Promise<void> {
    if (length <= 0) return;
    const { spans } = this.#options;
    await this.ensureSpans(
      spans.spanAt(offset),
      spans.spanAt(offset + length - 1),
      cls,
      signal,
    );
  }

  /** Like `ensure`, for spans `first` to `last`. */
  async ensureSpans(
    first: number,
    last: number,
    cls: SpanClass,
    signal: AbortSignal,
  ): Promise<void> {
    signal.throwIfAborted();
    const waits: Promise<void>[] = [];
    let runStart = -1;
    const flush = (end: number) => {
      if (runStart >= 0) waits.push(this.#fly(runStart, end - 1, cls));
      runStart = -1;
    };
    for (let span = first; span <= last; span++) {
      const flight = this.#flights.get(span);
      if (this.#options.map.has(span) || flight !== undefined) {
        flush(span);
        if (flight !== undefined) {
          flight.raise(cls);
          waits.push(flight.done);
        }
        continue;
      }
      if (runStart >= 0 && this.#runBytes(runStart, span) > MAX_RUN_BYTES) {
        flush(span);
      }
      if (runStart < 0) runStart = span;
    }
    flush(last + 1);
    if (waits.length === 0) return;
    const aborted = Promise.withResolvers<never>();
    const abort = () => aborted.reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    try {
      await Promise.race([Promise.all(waits), aborted.promise]);
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  /** Fetches all that is missing, in order, behind everything else. */
  async fill(signal: AbortSignal): Promise<void> {
    const { spans, map } = this.#options;
    for (let span = 0; span < spans.count; span++) {
      if (map.has(span)) continue;
      let end = span;
      while (
        end + 1 < spans.count && !map.has(end + 1) &&
        this.#runBytes(span, end + 1) <= MAX_RUN_BYTES
      ) end++;
      await this.ensureSpans(span, end, "background", signal);
    }
  }

  /** Ends all that is under way; later requests fail. */
  close(): void {
    this.#closed.abort(new Error("the layer is no longer served"));
  }

  #runBytes(first: number, last: number): number {
    const { spans } = this.#options;
    return spans.compressedEnd(last) - spans.compressedStart(first);
  }

  /** Starts one range request for spans `first` to `last`. */
  #fly(first: number, last: number, cls: SpanClass): Promise<void> {
    const finished = Promise.withResolvers<void>();
    finished.promise.catch(() => {}); // each waiter has its own handle
    const raise = this.#options.scheduler.add(cls, async () => {
      try {
        await this.#load(first, last, cls);
        finished.resolve();
      } catch (error) {
        finished.reject(error);
      } finally {
        for (let span = first; span <= last; span++) this.#flights.delete(span);
      }
    });
    const flight: Flight = { done: finished.promise, raise };
    for (let span = first; span <= last; span++) {
      this.#flights.set(span, flight);
    }
    return finished.promise;
  }

  async #load(first: number, last: number, cls: SpanClass): Promise<void> {
    const { source, spans, onFetched } = this.#options;
    const signal = this.#closed.signal;
    signal.throwIfAborted();
    const start = spans.compressedStart(first);
    const end = spans.compressedEnd(last);
    const bytes = new Uint8Array(end - start);
    await source.fetch(start, end, bytes, signal);
    onFetched?.(bytes.length, cls);
    const settled = await Promise.allSettled(
      Array.from({ length: last - first + 1 }, (_, i) => {
        const span = first + i;
        return this.#inflate(
          span,
          bytes.slice(
            spans.compressedStart(span) - start,
            spans.compressedEnd(span) - start,
          ),
        );
      }),
    );
    const failed = settled.find((result) => result.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  }

  /** Checks, inflates and marks one span; fetches it again while its digest is wrong. */
  async #inflate(
    span: number,
    received: Uint8Array<ArrayBuffer>,
  ): Promise<void> {
    const { spans, pool, map, dataFd, layerDigest, source } = this.#options;
    const start = spans.compressedStart(span);
    const end = spans.compressedEnd(span);
    let compressed = received;
    for (let attempt = 0;; attempt++) {
      const failure = await pool.run({
        fd: dataFd,
        compressed,
        digest: spans.digest(span),
        checkpoint: this.#options.compression === "gzip"
          ? {
            bits: spans.bits(span),
            window: spans.window(span) ?? EMPTY_WINDOW,
          }
          : null,
        size: spans.end(span) - spans.start(span),
        offset: spans.start(span),
      });
      this.#closed.signal.throwIfAborted();
      if (failure === null) {
        map.mark(span);
        return;
      }
      const error = new SpanError(
        failure.kind,
        layerDigest,
        span,
        start,
        failure.detail,
      );
      if (failure.kind !== "digest" || attempt >= DIGEST_RETRIES) {
        log.error("span failed", {
          layer: layerDigest,
          span,
          offset: start,
          kind: failure.kind,
          detail: failure.detail,
        });
        throw error;
      }
      log.warn("span has a wrong digest, fetching it again", {
        layer: layerDigest,
        span,
        offset: start,
        attempt: attempt + 1,
      });
      compressed = new Uint8Array(end - start);
      await source.fetch(start, end, compressed, this.#closed.signal);
      this.#options.onFetched?.(compressed.length, "demand");
    }
  }
}

const EMPTY_WINDOW = new Uint8Array(32768);
