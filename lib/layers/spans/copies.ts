import { setImmediate } from "node:timers/promises";
import type { SpanTable } from "../../formats/ztoc/mod.ts";
import type { SpanArrivals } from "./arrivals.ts";
import type { LayerFetcher } from "./fetcher.ts";
import type { InflateWork } from "./inflate_messages.ts";
import type { LayerSpans } from "./layer_spans.ts";
import type { PendingSpan } from "./pending.ts";
import type { LayerReaderOptions } from "./options.ts";
import { SpanState } from "./span_states.ts";

/** Bytes that are copied without a pause. */
const PIECE_BYTES = 4 * 2 ** 20;
/** Larger spans are not borrowed: copying them would hold up the main thread. */
const MAX_BORROWED_BYTES = 8 * 2 ** 20;

/** The same tar: proven, or by the same ztoc. */
export interface ProvenTar {
  /** Where its spans are. */
  readonly spans: SpanTable;
  /** Resolves when what an earlier process left of spans `first` to `last` was compared with its checksums. */
  compared(first: number, last: number): Promise<void>;
  /** Copies bytes of the tar; false when some are not here. */
  copy(offset: number, into: Uint8Array<ArrayBuffer>): boolean;
}

/** Fills the spans of one layer from a proven layer with the same tar, so that nothing is fetched twice. */
export class SpanCopies {
  #lender: ProvenTar | null = null;
  readonly #options: LayerReaderOptions;
  readonly #spans: LayerSpans;
  readonly #fetcher: LayerFetcher;
  readonly #arrivals: SpanArrivals;

  constructor(
    options: LayerReaderOptions,
    spans: LayerSpans,
    fetcher: LayerFetcher,
    arrivals: SpanArrivals,
  ) {
    this.#options = options;
    this.#spans = spans;
    this.#fetcher = fetcher;
    this.#arrivals = arrivals;
  }

  /**
   * Copies all missing spans that the other layer has, as far as there is room. Their tar headers are compared
   * with this layer's ztoc, as for spans that were fetched.
   * @param room how many more uncompressed bytes the cache may take.
   */
  async from(
    tar: ProvenTar,
    signal: AbortSignal,
    room: () => number,
  ): Promise<void> {
    const { spans } = this.#options;
    for (let span = 0; span < spans.count; span++) {
      if (signal.aborted || this.#spans.closed.aborted) return;
      if (this.#spans.states.at(span) !== SpanState.MISSING) continue;
      if (spans.end(span) - spans.start(span) > room()) return;
      const bytes = await this.#read(tar, span);
      if (bytes !== null) await this.#put(span, bytes);
    }
  }

  /** Spans that are asked for are taken from here, as far as they are there: they came by the same ztoc. */
  borrowFrom(tar: ProvenTar): void {
    this.#lender = tar;
  }

  /** Takes a span that was just asked for from the lender. @returns false when it is not there. */
  borrow(pending: PendingSpan): boolean {
    const { uncached } = this.#options;
    if (this.#lender === null || uncached.broken.aborted) return false;
    const bytes = this.#readNow(this.#lender, pending.span);
    if (bytes === null) return false;
    pending.waiters++; // this copy: if it is refused, the readers still wait
    this.#run(pending, bytes);
    return true;
  }

  /** Up to 64 MiB, mostly one to four: copied within a few ms, and a reader waits for it. */
  #readNow(tar: ProvenTar, span: number): Uint8Array<ArrayBuffer> | null {
    const { spans } = this.#options;
    const offset = spans.start(span);
    const size = spans.end(span) - offset;
    if (size > MAX_BORROWED_BYTES) return null;
    // The first byte tells whether it is there at all.
    if (!tar.copy(offset, new Uint8Array(Math.min(1, size)))) return null;
    const bytes = new Uint8Array(size);
    return tar.copy(offset, bytes) ? bytes : null;
  }

  /** A span's bytes of the tar; null when the other layer does not have all of them. */
  async #read(
    tar: ProvenTar,
    span: number,
  ): Promise<Uint8Array<ArrayBuffer> | null> {
    const { spans } = this.#options;
    const offset = spans.start(span);
    const bytes = new Uint8Array(spans.end(span) - offset);
    if (bytes.length > 0) {
      const last = tar.spans.spanAt(spans.end(span) - 1);
      await tar.compared(tar.spans.spanAt(offset), last);
    }
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
      const piece = bytes.subarray(at, at + PIECE_BYTES);
      if (!tar.copy(offset + at, piece)) return null;
      await setImmediate(); // a read may come first
    }
    return bytes;
  }

  async #put(span: number, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const { uncached } = this.#options;
    const { states, closed } = this.#spans;
    if (closed.aborted || uncached.broken.aborted) return;
    if (states.at(span) !== SpanState.MISSING) return; // a reader asked for it meanwhile
    await this.#run(
      this.#spans.want(this.#fetcher, span, "background"),
      bytes,
    );
  }

  #run(pending: PendingSpan, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const { pool, layerDigest } = this.#options;
    const { span, cls } = pending;
    this.#spans.states.step(span, "send");
    this.#spans.states.step(span, "arrive");
    const work: InflateWork = {
      ...this.#fetcher.work(span),
      digest: null,
      packing: { kind: "uncompressed" },
    };
    const outcome = pool.run(work, bytes, cls, layerDigest);
    const copied = this.#arrivals.copied(pending, outcome);
    this.#spans.track(copied);
    return copied;
  }
}
