import {
  OsError,
  preadFully,
  punchHole,
  pwriteFully,
} from "../../host/os/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import type { SpanTable } from "../../formats/ztoc/mod.ts";
import { isBefore, type SpanClass } from "./classes.ts";
import { SpanError, type SpanErrorKind } from "./errors.ts";
import type { HeaderTable, Straddler } from "./headers.ts";
import { fillLayer } from "./fill.ts";
import type { InflateOutcome } from "./inflate_messages.ts";
import type { InflatePool } from "./inflate_pool.ts";
import type { SpanMap } from "./map.ts";
import { ReadAhead } from "./read_ahead.ts";
import type { Flight, Run, RunLayer } from "./run.ts";
import { RunFetcher } from "./run_fetcher.ts";
import type { SpanScheduler } from "./scheduler.ts";
import type { SpanSource } from "./source.ts";
import { UncachedSpans } from "./uncached.ts";

const log = logger("spans");

/** How often a span with a wrong digest, or one whose Worker broke down, is fetched again. */
const SPAN_RETRIES = 3;
/** A span that was given up between its arrival and its reading is fetched again so often. */
const READ_TRIES = 8;
/** What a `LayerReader` works with. It owns none of it. */
export interface LayerReaderOptions {
  readonly layerDigest: string;
  readonly spans: SpanTable;
  /** Whether spans are gzip pieces, or plain bytes. */
  readonly compression: "gzip" | "uncompressed";
  readonly map: SpanMap;
  /** The data file; open until `close` has resolved. */
  readonly dataFd: number;
  readonly source: SpanSource;
  readonly scheduler: SpanScheduler;
  readonly pool: InflatePool;
  /** The tar headers spans must hold; null: not checked. Open until `close` has resolved. */
  readonly headers: HeaderTable | null;
  /** Where spans go that the disk does not take, and whether it can be believed. */
  readonly uncached: UncachedSpans;
  /** The most bytes to read ahead; a part of the cache's budget, or it would push out itself. */
  readonly maxReadAheadBytes?: number;
  /** Told the compressed bytes of each range fetched. */
  readonly onFetched?: (bytes: number, cls: SpanClass) => void;
  /** A span's bytes are in the data file now. */
  readonly onPresent?: (span: number) => void;
  /** Every span is present. */
  readonly onComplete?: () => void;
  /**
   * Spans are missing again and their bytes are about to go, once what this gives resolves: when
   * nobody is copying who saw them present.
   */
  readonly onGone?: () => Promise<void>;
  /** The ztoc was found to lie about the layer. */
  readonly onLie?: (error: SpanError) => void;
}

/** Makes ranges of one layer's data file readable. */
export class LayerReader implements RunLayer {
  readonly host: string;
  readonly queued = new Map<number, Flight>();
  readonly #options: LayerReaderOptions;
  readonly #uncached: UncachedSpans;
  readonly #readAhead: ReadAhead;
  readonly #fetcher: RunFetcher;
  /** Spans asked for and not yet here. */
  readonly #flights = new Map<number, Flight>();
  /** Spans whose bytes are being given up; resolved when that is over. */
  readonly #leaving = new Map<number, Promise<void>>();
  /** Spans that will never be right. */
  readonly #failed = new Map<number, SpanError>();
  /** Read-ahead spans to watch once they are here. */
  readonly #watch = new Set<number>();
  /** What uses descriptors: `close` waits for it. */
  readonly #tasks = new Set<Promise<void>>();
  readonly #closed = new AbortController();
  #missing: number;
  #evictions = 0;
  #ended = false;

  constructor(options: LayerReaderOptions) {
    const { spans, source, scheduler, map } = options;
    this.#options = options;
    this.host = source.host;
    this.#uncached = options.uncached;
    this.#uncached.broken.addEventListener("abort", this.#disbelieve);
    this.#missing = spans.count - map.presentCount;
    this.#fetcher = new RunFetcher(options, {
      closed: this.#closed.signal,
      arrived: (flight, outcome) => this.#track(this.#arrived(flight, outcome)),
    });
    this.#readAhead = new ReadAhead({
      count: spans.count,
      compressedStart: (span) => spans.compressedStart(span),
      compressedEnd: (span) => spans.compressedEnd(span),
      bytesPerMs: () => scheduler.bytesPerMs(this.host),
      maxBytes: options.maxReadAheadBytes ?? Infinity,
    });
  }

  /** What is in the data file may not be what was written there. */
  readonly #disbelieve = () => {
    const { spans, map } = this.#options;
    const all = Array.from({ length: spans.count }, (_, span) => span);
    this.#track(this.evict(all.filter((span) => map.has(span))));
  };

  compressedStart(span: number): number {
    return this.#options.spans.compressedStart(span);
  }

  compressedEnd(span: number): number {
    return this.#options.spans.compressedEnd(span);
  }

  /** How often spans were given up: the same number twice means that none went in between. */
  get evictions(): number {
    return this.#evictions;
  }

  /** Whether all of the layer is in the data file. */
  get complete(): boolean {
    return this.#missing === 0;
  }

  /** The layer blob's digest. */
  get layerDigest(): string {
    return this.#options.layerDigest;
  }

  /**
   * Resolves when bytes [offset, offset + length) are here: `copy` gives them until others take
   * their place.
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
    const waits: Flight[] = [];
    for (let span = first; span <= last; span++) {
      const flight = this.#want(span, cls);
      if (flight !== null) waits.push(flight);
    }
    if (cls === "demand") this.#lookAhead(first, last);
    if (waits.length > 0) await this.#wait(waits, signal);
  }

  /**
   * Copies bytes that are here, without waiting, so that nothing can take them away meanwhile.
   * @returns false when some are not: ask for them again.
   */
  copy(offset: number, into: Uint8Array<ArrayBuffer>): boolean {
    const { spans, map } = this.#options;
    if (into.length === 0) return true;
    const last = spans.spanAt(offset + into.length - 1);
    for (let span = spans.spanAt(offset); span <= last; span++) {
      if (!map.has(span) && this.#uncached.get(this, span) === undefined) {
        return false;
      }
    }
    return this.#copy(offset, into);
  }

  /** Fills `into` from `offset` on, fetching what is missing. @throws as `ensure` */
  async read(
    offset: number,
    into: Uint8Array<ArrayBuffer>,
    signal: AbortSignal,
  ): Promise<void> {
    for (let tries = 0; tries < READ_TRIES; tries++) {
      await this.ensure(offset, into.length, "demand", signal);
      if (this.copy(offset, into)) return;
    }
    const span = this.#options.spans.spanAt(offset);
    throw this.#error("disk", span, "the cache is too small to read it");
  }

  #copy(offset: number, into: Uint8Array<ArrayBuffer>): boolean {
    const { spans } = this.#options;
    const end = offset + into.length;
    for (let at = offset; at < end;) {
      const span = spans.spanAt(at);
      const to = Math.min(end, spans.end(span));
      const part = into.subarray(at - offset, to - offset);
      const bytes = this.#uncached.get(this, span);
      if (bytes !== undefined) {
        const from = at - spans.start(span);
        part.set(bytes.subarray(from, from + part.length));
      } else if (!this.#readPart(span, at, part)) return false;
      at = to;
    }
    return true;
  }

  /** Reads a part of one span from the data file; what the disk does not give back is missing again. */
  #readPart(span: number, at: number, part: Uint8Array<ArrayBuffer>): boolean {
    try {
      if (preadFully(this.#options.dataFd, part, at) === part.length) {
        return true;
      }
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      this.#uncached.diskBroken(error.message);
      return false;
    }
    if (this.#leaving.has(span)) return false;
    log.error("the cache cannot be read, the span is fetched again", {
      layer: this.#options.layerDigest,
      span,
      detail: "the data file is too short",
    });
    this.#track(this.evict([span]));
    return false;
  }

  /** The flight that brings a span; null when it is here. @throws SpanError */
  #want(span: number, cls: SpanClass): Flight | null {
    const { map, scheduler } = this.#options;
    const failed = this.#failed.get(span);
    if (failed !== undefined) throw failed;
    if (map.has(span)) return null;
    if (this.#uncached.get(this, span) !== undefined) {
      this.#writeLater(span);
      return null;
    }
    const known = this.#flights.get(span);
    if (known !== undefined) {
      known.waiters++;
      if (!this.#leaving.has(span)) scheduler.raise(known, cls);
      else if (isBefore(cls, known.cls)) known.cls = cls; // queued later
      return known;
    }
    if (this.#closed.signal.aborted) {
      throw this.#error("closed", span, "the layer is no longer served");
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    promise.catch(() => {}); // each waiter has its own handle
    const flight: Flight = {
      span,
      layer: this,
      cls,
      waiters: 1,
      run: null,
      received: false,
      done: promise,
      resolve: () => this.#land(flight, resolve),
      reject: (error) => this.#land(flight, () => reject(error)),
    };
    this.#flights.set(span, flight);
    const leaving = this.#leaving.get(span);
    if (leaving === undefined) scheduler.add(flight);
    else leaving.then(() => scheduler.add(flight));
    return flight;
  }

  #land({ span }: Flight, tell: () => void): void {
    this.#flights.delete(span);
    tell();
  }

  async #wait(flights: readonly Flight[], signal: AbortSignal): Promise<void> {
    const left = Promise.withResolvers<never>();
    const leave = () => {
      for (const flight of flights) {
        if (--flight.waiters > 0) continue;
        if (this.#options.scheduler.remove(flight)) {
          flight.reject(signal.reason);
        }
      }
      left.reject(signal.reason);
    };
    signal.addEventListener("abort", leave, { once: true });
    try {
      await Promise.race([
        Promise.all(flights.map(({ done }) => done)),
        left.promise,
      ]);
    } finally {
      signal.removeEventListener("abort", leave);
    }
  }

  #lookAhead(first: number, last: number): void {
    const { map } = this.#options;
    for (let span = first; span <= last; span++) map.unwatch(span);
    if (this.#uncached.broken.aborted) return; // there is little room for it
    const ahead = this.#readAhead.asked(first, last);
    if (ahead === null) return;
    for (let span = ahead.first; span <= ahead.last; span++) {
      if (this.#failed.has(span) || this.#closed.signal.aborted) continue;
      this.#want(span, "prefetch");
    }
    if (map.has(ahead.watch)) map.watch(ahead.watch);
    else this.#watch.add(ahead.watch);
  }

  /**
   * Fetches all that is missing, in order, behind everything else, as far as there is room.
   * @param room uncompressed bytes that may still come into the cache.
   * @throws as `fillLayer`
   */
  async fill(
    signal: AbortSignal,
    room: () => number = () => Infinity,
  ): Promise<void> {
    const { spans, map, scheduler } = this.#options;
    await fillLayer({
      spans,
      isSettled: (span) => map.has(span) || this.#failed.has(span),
      runBytes: () => scheduler.backgroundRunBytes(this),
      room: () => this.#uncached.broken.aborted ? 0 : room(),
      fetch: (first, last) =>
        this.ensureSpans(first, last, "background", signal),
    });
  }

  fetchRun(run: Run, onBytes: (count: number) => void): Promise<void> {
    return this.#fetcher.fetch(run, onBytes);
  }

  #track(task: Promise<void>): void {
    const tracked = task.finally(() => this.#tasks.delete(tracked));
    this.#tasks.add(tracked);
  }

  /** Checks, inflates and marks a span whose bytes came; fetches it again where that may help. */
  async #arrived(
    flight: Flight,
    inflated: Promise<InflateOutcome>,
  ): Promise<void> {
    const { span } = flight;
    let next = inflated;
    try {
      for (let attempt = 0;; attempt++) {
        const outcome = await next;
        if (this.#closed.signal.aborted) throw this.#closed.signal.reason;
        if (outcome.kind === "written" && this.#uncached.broken.aborted) {
          next = this.#fetcher.again(flight); // not to the disk this time
          continue;
        }
        if (outcome.kind === "written") {
          this.#checkStraddlers(span);
          this.#mark(span);
          return flight.resolve();
        }
        if (outcome.kind === "unwritten") {
          this.#uncached.diskFull(outcome.detail);
          this.#uncached.put(this, span, outcome.bytes);
          this.#checkStraddlers(span);
          return flight.resolve();
        }
        const error = this.#error(outcome.kind, span, outcome.detail);
        const again = AGAIN.get(outcome.kind);
        if (again === undefined || attempt >= SPAN_RETRIES) throw error;
        log.warn(again, {
          layer: this.#options.layerDigest,
          span,
          offset: this.compressedStart(span),
          attempt: attempt + 1,
          detail: outcome.detail,
        });
        next = this.#fetcher.again(flight);
      }
    } catch (error) {
      if (error instanceof SpanError) this.#failedFor(error);
      flight.reject(error);
    }
  }

  #mark(span: number): void {
    const { map, onPresent, onComplete } = this.#options;
    try {
      map.mark(span);
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      this.#uncached.diskFull(error.message); // readable now; fetched again after a restart
    }
    this.#uncached.delete(this, span);
    if (this.#watch.delete(span)) map.watch(span);
    onPresent?.(span);
    if (--this.#missing === 0) onComplete?.();
    for (const other of this.#uncached.of(this)) this.#writeLater(other);
  }

  /**
   * Headers that lie in this span and others, if all of them are here now; the last one to come looks.
   * @throws SpanError
   */
  #checkStraddlers(span: number): void {
    const { headers, map } = this.#options;
    for (const straddler of headers?.straddlers(span) ?? []) {
      const { firstSpan, lastSpan } = straddler;
      const here = (other: number) =>
        other === span || map.has(other) ||
        this.#uncached.get(this, other) !== undefined;
      let all = true;
      for (let s = firstSpan; s <= lastSpan; s++) all &&= here(s);
      if (!all) continue;
      const difference = headers!.straddlerDifference(
        straddler,
        (offset, length) => {
          const bytes = new Uint8Array(length);
          if (!this.#copy(offset, bytes)) {
            // What the disk does not give back is missing now: the next try does without.
            throw this.#error("worker", span, "its neighbour cannot be read");
          }
          return bytes;
        },
      );
      if (difference === null) continue;
      this.#withdraw(straddler, span, difference);
      throw this.#error("header", span, difference);
    }
  }

  /** The other spans of a header that lies were believed until now. */
  #withdraw(
    { firstSpan, lastSpan }: Straddler,
    except: number,
    difference: string,
  ): void {
    for (let span = firstSpan; span <= lastSpan; span++) {
      this.#uncached.delete(this, span);
      if (span === except) continue;
      this.#failed.set(span, this.#error("header", span, difference));
      this.#track(this.evict([span]));
    }
  }

  #error(kind: SpanErrorKind, span: number, detail: string): SpanError {
    return new SpanError(
      kind,
      this.#options.layerDigest,
      span,
      this.compressedStart(span),
      detail,
    );
  }

  #failedFor(error: SpanError): void {
    const { kind, span, offset, layerDigest: layer } = error;
    log.error("span failed", {
      layer,
      span,
      offset,
      kind,
      detail: error.message,
    });
    // The bytes are those the digest wants: other ones will not come.
    if (kind === "header" || kind === "inflate") this.#failed.set(span, error);
    if (kind === "header") this.#options.onLie?.(error);
  }

  /** Tries to write a span that is in memory only, unless the disk was just full. */
  #writeLater(span: number): void {
    const { spans, dataFd, map } = this.#options;
    const bytes = this.#uncached.get(this, span);
    if (bytes === undefined || map.has(span) || !this.#uncached.mayWrite) {
      return;
    }
    try {
      pwriteFully(dataFd, bytes, spans.start(span));
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      return this.#uncached.diskFull(error.message);
    }
    this.#mark(span);
  }

  /**
   * Gives up spans and their room on disk. They are missing when this returns, and their disk blocks
   * are free when it resolves.
   */
  async evict(wanted: readonly number[]): Promise<void> {
    const { map, spans, dataFd, onGone } = this.#options;
    const victims = wanted.filter((span) => map.has(span));
    if (victims.length === 0) return;
    this.#evictions++;
    this.#missing += victims.length;
    const gone = Promise.withResolvers<void>();
    for (const span of victims) this.#leaving.set(span, gone.promise);
    try {
      const cleared = map.clear(victims);
      await Promise.all([cleared, onGone?.()]);
      // Another reader may be opened over the same files once this one is closed.
      if (this.#ended || this.#uncached.broken.aborted) return;
      for (const span of victims) {
        const start = spans.start(span);
        punchHole(dataFd, start, spans.end(span) - start);
      }
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      // They are missing, and their blocks stay until they are fetched again.
      log.warn("cache could not be made smaller", {
        layer: this.#options.layerDigest,
        error: error.message,
      });
    } finally {
      for (const span of victims) this.#leaving.delete(span);
      gone.resolve();
    }
  }

  /** Whether a span is asked for, or on its way in or out: then it is not to be evicted. */
  isBusy(span: number): boolean {
    return this.#flights.has(span) || this.#leaving.has(span);
  }

  /** Serves nothing any more: every read fails with `error`, also of what is here. */
  condemn(error: SpanError): void {
    const { spans } = this.#options;
    for (let span = 0; span < spans.count; span++) {
      this.#failed.set(span, error);
      this.#uncached.delete(this, span);
    }
    this.#closed.abort(error);
    this.#disbelieve();
  }

  /** Ends all that is under way; later requests fail. Descriptors may be closed once it resolves. */
  async close(): Promise<void> {
    if (!this.#closed.signal.aborted) {
      this.#closed.abort(new Error("the layer is no longer served"));
    }
    this.#ended = true;
    this.#uncached.broken.removeEventListener("abort", this.#disbelieve);
    for (const flight of [...this.#flights.values()]) {
      if (this.#options.scheduler.remove(flight)) {
        flight.reject(this.#closed.signal.reason);
      }
    }
    for (const span of this.#uncached.of(this)) {
      this.#uncached.delete(this, span);
    }
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
  }
}

/** What is told when a span that failed so is fetched again. */
const AGAIN: ReadonlyMap<string, string> = new Map([
  ["digest", "span has a wrong digest, fetching it again"],
  ["worker", "a Worker broke down over a span, fetching it again"],
]);
