import { OsError, preadFully } from "../../host/os/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import type { SpanEvictions } from "./evictions.ts";
import type { LayerSpans } from "./layer_spans.ts";
import type { LayerReaderOptions } from "./options.ts";
import { isHere, SpanState } from "./span_states.ts";

const log = logger("spans");

/** A span that readers may not see yet: its bytes are in memory, or (null) in the data file. */
export interface ArrivingSpan {
  readonly span: number;
  readonly bytes: Uint8Array<ArrayBuffer> | null;
}

/** Copies bytes of one layer, from memory or from the data file. */
export class SpanBytes {
  readonly #options: LayerReaderOptions;
  readonly #spans: LayerSpans;
  readonly #evictions: SpanEvictions;

  constructor(
    options: LayerReaderOptions,
    spans: LayerSpans,
    evictions: SpanEvictions,
  ) {
    this.#options = options;
    this.#spans = spans;
    this.#evictions = evictions;
  }

  /**
   * Copies bytes that are here. It is synchronous, so nothing can be evicted meanwhile.
   * @returns false when some are missing: request them again.
   */
  copy(offset: number, into: Uint8Array<ArrayBuffer>): boolean {
    const { spans } = this.#options;
    const { states } = this.#spans;
    if (into.length === 0) return true;
    const last = spans.spanAt(offset + into.length - 1);
    for (let span = spans.spanAt(offset); span <= last; span++) {
      if (!isHere(states.at(span))) return false;
    }
    return this.copyWith(null, offset, into);
  }

  /** As `copy`; what came by a start pack will do. For readers alone: it proves nothing. */
  copyAny(offset: number, into: Uint8Array<ArrayBuffer>): boolean {
    const { ranges } = this.#spans;
    if (!ranges.isUsed) return this.copy(offset, into);
    return ranges.look(offset, into.length).kind === "here" &&
      this.copyWith(null, offset, into);
  }

  /** The same for spans that are known to be here, and one that has just arrived. */
  copyWith(
    arriving: ArrivingSpan | null,
    offset: number,
    into: Uint8Array<ArrayBuffer>,
  ): boolean {
    const { spans } = this.#options;
    const end = offset + into.length;
    for (let at = offset; at < end;) {
      const span = spans.spanAt(at);
      const to = Math.min(end, spans.end(span));
      const part = to - at === into.length
        ? into
        : into.subarray(at - offset, to - offset);
      const bytes = this.#inMemory(span, arriving);
      if (bytes !== null) {
        const from = at - spans.start(span);
        part.set(bytes.subarray(from, from + part.length));
      } else if (!this.#readFile(span, at, part)) return false;
      at = to;
    }
    return true;
  }

  #inMemory(
    span: number,
    arriving: ArrivingSpan | null,
  ): Uint8Array<ArrayBuffer> | null {
    if (span === arriving?.span) return arriving.bytes;
    if (this.#spans.states.at(span) !== SpanState.HELD) return null;
    return this.#options.uncached.get(this.#spans, span) ?? null;
  }

  /**
   * Reads a part of one span from the data file. If the disk cannot return it, the span is missing
   * again.
   */
  #readFile(span: number, at: number, part: Uint8Array<ArrayBuffer>): boolean {
    const { dataFd, layerDigest, uncached } = this.#options;
    try {
      if (preadFully(dataFd, part, at) === part.length) return true;
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      uncached.diskBroken(error.message);
      return false;
    }
    log.error("the cache cannot be read, the span is fetched again", {
      layer: layerDigest,
      span,
      detail: "the data file is too short",
    });
    this.#spans.track(this.#evictions.evict([span]));
    return false;
  }
}
