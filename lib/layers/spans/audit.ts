import { Buffer } from "node:buffer";
import { setImmediate } from "node:timers/promises";
import type { SpanBytes } from "./bytes.ts";
import type { SpanChecks } from "./checks.ts";
import type { LayerFetcher } from "./fetcher.ts";
import type { InflateOutcome, InflateWork } from "./inflate_messages.ts";
import type { LayerSpans } from "./layer_spans.ts";
import type { LayerReaderOptions } from "./options.ts";
import { SpanState } from "./span_states.ts";

/** How long a source may take to give a span, ms. */
const SPAN_MS = 30_000;
/** Bytes that are compared without a pause. */
const PIECE_BYTES = 4 * 2 ** 20;

/**
 * Finds out whether the data file still has what was written into it, by fetching spans once more. A layer
 * that does not have its digest may be the fault of its ztoc or of this machine's disk: only the first
 * condemns the ztoc.
 */
export class SpanAudit {
  readonly #options: LayerReaderOptions;
  readonly #spans: LayerSpans;
  readonly #bytes: SpanBytes;
  readonly #fetcher: LayerFetcher;
  readonly #checks: SpanChecks;

  constructor(
    options: LayerReaderOptions,
    spans: LayerSpans,
    bytes: SpanBytes,
    fetcher: LayerFetcher,
    checks: SpanChecks,
  ) {
    this.#options = options;
    this.#spans = spans;
    this.#bytes = bytes;
    this.#fetcher = fetcher;
    this.#checks = checks;
  }

  /**
   * Present spans whose bytes are not what the layer's sources give.
   * @throws the sources' errors, or the signal's reason.
   */
  async damaged(signal: AbortSignal): Promise<number[]> {
    const { states } = this.#spans;
    const damaged: number[] = [];
    for (let span = 0; span < states.count; span++) {
      await this.#checks.settled(span, span);
      if (states.at(span) !== SpanState.PRESENT) continue;
      const outcome = await this.#fetch(span, signal);
      // Anything else comes from the ztoc: the digest is right, so the bytes were these before.
      if (outcome.kind !== "unwritten") continue;
      if (!await this.#isSame(span, outcome.bytes)) damaged.push(span);
    }
    return damaged;
  }

  /** Inflates a span as a source gives it; writes nothing. */
  async #fetch(span: number, signal: AbortSignal): Promise<InflateOutcome> {
    const { spans, sources, pool, layerDigest } = this.#options;
    const start = spans.compressedStart(span);
    const end = spans.compressedEnd(span);
    let outcome: InflateOutcome | null = null;
    await sources.fetch(start, end, new Uint8Array(end - start), {
      signal: AbortSignal.any([signal, this.#spans.closed]),
      timeoutMs: SPAN_MS,
      isRight: async (bytes) => {
        const work: InflateWork = { ...this.#fetcher.work(span), fd: null };
        const run = pool.run(work, bytes, "background", layerDigest);
        this.#spans.track(run.then(() => {})); // it reads the file of headers
        outcome = await run;
        return outcome.kind !== "digest" && outcome.kind !== "worker";
      },
    });
    return outcome!; // `isRight` was called
  }

  async #isSame(
    span: number,
    bytes: Uint8Array<ArrayBuffer>,
  ): Promise<boolean> {
    const offset = this.#options.spans.start(span);
    const here = new Uint8Array(Math.min(PIECE_BYTES, bytes.length));
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
      const piece = bytes.subarray(at, at + PIECE_BYTES);
      const into = here.subarray(0, piece.length);
      if (!this.#bytes.copy(offset + at, into)) return true; // evicted meanwhile
      if (Buffer.compare(piece, into) !== 0) return false;
      if (bytes.length > PIECE_BYTES) await setImmediate();
    }
    return true;
  }
}
