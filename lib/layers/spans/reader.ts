import { SpanArrivals } from "./arrivals.ts";
import { SpanAudit } from "./audit.ts";
import { SpanBytes } from "./bytes.ts";
import { SpanChecks } from "./checks.ts";
import type { SpanClass } from "./classes.ts";
import { type ProvenTar, SpanCopies } from "./copies.ts";
import type { SpanError } from "./errors.ts";
import { SpanEvictions } from "./evictions.ts";
import { LayerFetcher } from "./fetcher.ts";
import { fillLayer } from "./fill.ts";
import { type LayerActivity, LayerSpans } from "./layer_spans.ts";
import type { LayerReaderOptions } from "./options.ts";
import { PackedReads } from "./packed_reads.ts";
import type { LayerRanges } from "./ranges.ts";
import type { SpanSource } from "./source.ts";
import { isInFile, SpanState } from "./span_states.ts";
import { SpanWants } from "./wants.ts";

/** How often a read is retried when its span is evicted between arrival and copy. */
const READ_TRIES = 8;

/**
 * Makes ranges of one layer's data file readable. The work is done by its parts, which share the
 * layer's spans: `SpanWants`, `LayerFetcher`, `SpanArrivals`, `SpanBytes` and `SpanEvictions`.
 */
export class LayerReader {
  readonly #options: LayerReaderOptions;
  readonly #spans: LayerSpans;
  readonly #fetcher: LayerFetcher;
  readonly #bytes: SpanBytes;
  readonly #wants: SpanWants;
  readonly #evictions: SpanEvictions;
  readonly #audit: SpanAudit;
  readonly #copies: SpanCopies;
  readonly #packed: PackedReads;
  readonly #checks: SpanChecks;

  /** Fetches nothing by itself. */
  constructor(options: LayerReaderOptions) {
    this.#options = options;
    const spans = this.#spans = new LayerSpans(options);
    const evictions = this.#evictions = new SpanEvictions(options, spans);
    const bytes = this.#bytes = new SpanBytes(options, spans, evictions);
    const fetcher = this.#fetcher = new LayerFetcher(
      options,
      spans,
      (pending, source, outcome) =>
        spans.track(arrivals.arrived(pending, source, outcome)),
    );
    const checks = new SpanChecks(options, spans, fetcher, evictions);
    this.#checks = checks;
    const arrivals = new SpanArrivals(
      options,
      spans,
      bytes,
      evictions,
      checks,
    );
    const copies = new SpanCopies(options, spans, fetcher, arrivals);
    this.#copies = copies;
    this.#wants = new SpanWants(
      ...[options, spans, fetcher, arrivals, checks, copies] as const,
    );
    this.#packed = new PackedReads(spans, this.#wants);
    this.#audit = new SpanAudit(options, spans, bytes, fetcher, checks);
    options.uncached.broken.addEventListener("abort", this.#disbelieve);
  }

  readonly #disbelieve = () => this.#evictions.disbelieve();

  /** Counts evictions: if the number is unchanged, no span was evicted in between. */
  get evictions(): number {
    return this.#evictions.count;
  }

  /** Whether the whole layer is in the data file. */
  get complete(): boolean {
    const { presentCount, count } = this.#spans.states;
    return presentCount === count;
  }

  /** Compressed bytes of spans that came ahead of readers and were not read yet, evicted ones included. */
  get unreadAheadBytes(): number {
    return this.#spans.unreadAheadBytes;
  }

  /** What is going on at this moment. Looks at each span. */
  get activity(): LayerActivity {
    return this.#spans.activity;
  }

  /** The layer blob's digest. */
  get layerDigest(): string {
    return this.#options.layerDigest;
  }

  /** The state of a span; undefined when there is no such span. */
  stateOf(span: number): SpanState | undefined {
    return this.#spans.states.at(span);
  }

  /**
   * Resolves when bytes [offset, offset + length) are here: `copy` returns them until they are evicted.
   * @throws SpanError, or the source's error, or the signal's reason.
   */
  async ensure(
    offset: number,
    length: number,
    cls: SpanClass,
    signal: AbortSignal,
  ): Promise<void> {
    if (length <= 0) return;
    signal.throwIfAborted();
    if (
      cls === "demand" && this.ranges.isUsed &&
      await this.#packed.ensure(offset, length, signal)
    ) return;
    const waits = this.#wants.askBytes(offset, length, cls);
    if (waits === null) return;
    const expected = cls === "demand" ? this.ranges.expected : null;
    if (expected === null) return await this.#wants.wait(waits, signal);
    if (await this.#packed.waitUnless(expected, waits, signal)) return;
    // A pack is on its way, and may bring what is wanted before the spans come.
    return await this.ensure(offset, length, cls, signal);
  }

  /** Like `ensure`, for spans `first` to `last`. They do not count as read, and nothing is read ahead. */
  async ensureSpans(
    first: number,
    last: number,
    cls: SpanClass,
    signal: AbortSignal,
  ): Promise<void> {
    signal.throwIfAborted();
    const waits = this.#wants.ask(first, last, cls);
    if (waits !== null) await this.#wants.wait(waits, signal);
  }

  /**
   * Resolves when what an earlier process left of spans `first` to `last` was compared with its checksums. Fetches
   * nothing.
   */
  compared(first: number, last: number): Promise<void> {
    return this.#checks.settled(first, last);
  }

  /**
   * Copies bytes that are here. It is synchronous, so nothing can be evicted meanwhile.
   * @returns false when some are missing: call `ensure` again.
   */
  copy(offset: number, into: Uint8Array<ArrayBuffer>): boolean {
    return this.#bytes.copyAny(offset, into);
  }

  /** As `copy`, of bytes that were checked: not of those that came by a start pack. */
  copyChecked(offset: number, into: Uint8Array<ArrayBuffer>): boolean {
    return this.#bytes.copy(offset, into);
  }

  /** What a start pack brings of spans that are not here. */
  get ranges(): LayerRanges {
    return this.#spans.ranges;
  }

  /** Shows nothing more that came by a start pack. Resolves when nobody copies it any more. */
  dropRanges(): Promise<void> {
    return this.#evictions.dropRanges();
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
    throw this.#spans.error("disk", span, "the cache is too small to read it");
  }

  /**
   * Fetches all missing spans, in order and in the background class, as far as there is room.
   * @param room how many more uncompressed bytes the cache may take.
   * @throws as `fillLayer`
   */
  async fill(
    signal: AbortSignal,
    room: () => number = () => Infinity,
  ): Promise<void> {
    const { spans, scheduler, uncached } = this.#options;
    await fillLayer({
      spans,
      isSettled: (span) => {
        const state = this.stateOf(span);
        return isInFile(state) || state === SpanState.FAILED;
      },
      requestBytes: () =>
        scheduler.backgroundRequestBytes(scheduler.hostOf(this.#fetcher)),
      room: () => uncached.broken.aborted ? 0 : room(),
      fetch: (first, last) =>
        this.ensureSpans(first, last, "background", signal),
    });
  }

  /**
   * Fills missing spans from a proven layer with the same tar, as far as there is room.
   * @param room how many more uncompressed bytes the cache may take.
   */
  fillFrom(
    tar: ProvenTar,
    signal: AbortSignal,
    room: () => number,
  ): Promise<void> {
    return this.#copies.from(tar, signal, room);
  }

  /** Takes spans from another layer by the same ztoc, when they are asked for and are there. */
  borrowFrom(tar: ProvenTar): void {
    this.#copies.borrowFrom(tar);
  }

  /**
   * Fetches the present spans once more, and compares.
   * @returns those whose bytes on this machine are other ones.
   * @throws the sources' errors, or the signal's reason.
   */
  damaged(signal: AbortSignal): Promise<number[]> {
    return this.#audit.damaged(signal);
  }

  /**
   * Evicts spans. They are missing when this returns, and their disk blocks are free when it resolves.
   */
  evict(wanted: readonly number[]): Promise<void> {
    return this.#evictions.evict(wanted);
  }

  /** Stops serving: every read fails with `error`, even of present spans. */
  condemn(error: SpanError): void {
    this.#evictions.condemn(error);
  }

  /**
   * Adds a source that holds the layer's blob, on behalf of a claimant, until `removeSource`. The source
   * is owned by `SpanSources`.
   */
  addSource(claimant: string, source: SpanSource): void {
    this.#options.sources.add(claimant, source);
  }

  /** Drops one reference of a claimant; after the last one its source gets no more requests. */
  removeSource(claimant: string): void {
    const source = this.#options.sources.remove(claimant);
    if (source === null) return;
    this.#options.scheduler.leave(this.#fetcher, source);
  }

  /** Ends all running work; later requests fail. Descriptors may be closed once it resolves. */
  async close(): Promise<void> {
    this.#options.uncached.broken.removeEventListener(
      "abort",
      this.#disbelieve,
    );
    await this.#spans.close();
  }
}
