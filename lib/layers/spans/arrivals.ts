import { crc32 } from "node:zlib";
import { OsError, pwriteFully } from "../../host/os/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import type { ArrivingSpan, SpanBytes } from "./bytes.ts";
import type { SpanChecks } from "./checks.ts";
import { SpanError, type SpanErrorKind } from "./errors.ts";
import type { SpanEvictions } from "./evictions.ts";
import type { CrossingHeader } from "./headers.ts";
import type { InflateOutcome } from "./inflate_messages.ts";
import type { LayerSpans } from "./layer_spans.ts";
import { isHere } from "./span_states.ts";
import type { LayerReaderOptions } from "./options.ts";
import type { PendingSpan } from "./pending.ts";
import type { SpanSource } from "./source.ts";

const log = logger("spans");

/** How often a span is fetched again after a wrong digest or a crashed Worker. */
const SPAN_RETRIES = 3;

/** Log line for each error after which a span is fetched again. */
const RETRIED: ReadonlyMap<SpanErrorKind, string> = new Map([
  ["digest", "span has a wrong digest, fetching it again"],
  ["worker", "a Worker broke down over a span, fetching it again"],
]);

/** Arrival and checks: how the spans of one layer become readable. */
export class SpanArrivals {
  readonly #options: LayerReaderOptions;
  readonly #spans: LayerSpans;
  readonly #bytes: SpanBytes;
  readonly #evictions: SpanEvictions;
  readonly #checks: SpanChecks;

  constructor(
    options: LayerReaderOptions,
    spans: LayerSpans,
    bytes: SpanBytes,
    evictions: SpanEvictions,
    checks: SpanChecks,
  ) {
    this.#options = options;
    this.#spans = spans;
    this.#bytes = bytes;
    this.#evictions = evictions;
    this.#checks = checks;
  }

  /**
   * Makes a span readable once it is checked and inflated; requests it again if that may help.
   * @param source the source of its bytes.
   * @param inflated the outcome from the inflate Worker.
   */
  async arrived(
    pending: PendingSpan,
    source: SpanSource,
    inflated: Promise<InflateOutcome>,
  ): Promise<void> {
    try {
      const outcome = await inflated;
      await this.#comparedNeighbours(pending.span);
      this.#spans.closed.throwIfAborted();
      if (this.#accept(pending.span, outcome)) return;
      this.#assertRetried(pending, outcome);
      if (outcome.kind === "digest") {
        this.#options.sources.did(source, "lied");
        this.#options.scheduler.lied(source);
      }
      this.#options.scheduler.again(pending, source);
    } catch (error) {
      this.#fail(pending, error);
    }
  }

  /**
   * Makes a span readable whose bytes were copied from a proven tar. If they do not fit the ztoc, the span is
   * fetched instead: nobody is blamed for what this machine may have done to the copy.
   */
  async copied(
    pending: PendingSpan,
    inflated: Promise<InflateOutcome>,
  ): Promise<void> {
    const { span } = pending;
    try {
      const outcome = await inflated;
      await this.#comparedNeighbours(span);
      this.#spans.closed.throwIfAborted();
      if (this.#accept(span, outcome, "copied")) return;
    } catch (error) {
      if (pending.settled && this.#spans.closed.aborted) return;
      log.debug("a span could not be copied", { span, error: String(error) });
    }
    if (pending.settled) return;
    if (--pending.waiters === 0) {
      return this.#spans.giveUp(pending, new Error("the copy was refused"));
    }
    this.#spans.states.step(span, "retry");
    this.#options.scheduler.add(pending);
  }

  /**
   * Accepts a span that is right.
   * @returns false when it is not, or when it is only on a disk that is no longer trusted.
   * @throws SpanError when its headers are not what the ztoc says.
   */
  #accept(
    span: number,
    outcome: InflateOutcome,
    from: "source" | "copied" = "source",
  ): boolean {
    const { uncached } = this.#options;
    if (outcome.kind === "written") {
      if (uncached.broken.aborted) return false; // the next try stays in memory
      this.#checkCrossing({ span, bytes: null }, from);
      this.#compared(span, outcome.packLie);
      this.#spans.written(span, outcome.sum);
      this.#writeHeld();
      return true;
    }
    if (outcome.kind === "unwritten") {
      uncached.diskFull(outcome.detail);
      this.#checkCrossing({ span, bytes: outcome.bytes }, from);
      this.#compared(span, outcome.packLie);
      this.#spans.held(span, outcome.bytes);
      return true;
    }
    return false;
  }

  /** The span is right. What came ahead of it may not have been. */
  #compared(span: number, packLie: number | null): void {
    if (packLie !== null) this.#options.onPackLie?.(span, packLie);
  }

  /** @throws SpanError when a span that was not accepted must not be fetched again. */
  #assertRetried(pending: PendingSpan, outcome: InflateOutcome): void {
    if (outcome.kind === "written" || outcome.kind === "unwritten") return;
    const { kind, detail } = outcome;
    const { span } = pending;
    const told = RETRIED.get(kind);
    const error = this.#spans.error(kind, span, detail);
    const { digestRetries = SPAN_RETRIES, sources } = this.#options;
    const retries = sources.count - 1 +
      (kind === "digest" ? digestRetries : SPAN_RETRIES);
    if (told === undefined || pending.refusals++ >= retries) throw error;
    const { layerDigest: layer, offset } = error;
    const attempt = pending.refusals;
    log.warn(told, { layer, span, offset, attempt, detail });
  }

  #fail(pending: PendingSpan, error: unknown): void {
    if (pending.settled) {
      // Closed or condemned meanwhile: there are no waiters. Anything else is a bug.
      if (this.#spans.closed.aborted) return;
      throw error;
    }
    if (!(error instanceof SpanError)) {
      return this.#spans.giveUp(pending, error);
    }
    const { kind, span, offset, layerDigest: layer, message } = error;
    log.error("span failed", { layer, span, offset, kind, detail: message });
    if (kind === "header" || kind === "inflate") {
      // The digest is right, so fetching again would give the same bytes.
      this.#spans.fail(span, error);
    } else this.#spans.giveUp(pending, error);
    if (kind === "header") this.#options.onLie?.(error);
  }

  /** What an earlier process left of spans that share a header with this one is compared first. */
  async #comparedNeighbours(span: number): Promise<void> {
    const { headers } = this.#options;
    if (headers === null) return;
    for (const { firstSpan, lastSpan } of headers.crossingOf(span)) {
      await this.#checks.settled(firstSpan, lastSpan);
    }
  }

  /**
   * Checks headers that this span shares with others, if all of those spans are here: the last one to
   * arrive does the check.
   * @throws SpanError
   */
  #checkCrossing(arriving: ArrivingSpan, from: "source" | "copied"): void {
    const { headers } = this.#options;
    if (headers === null) return;
    const { span } = arriving;
    for (const header of headers.crossingOf(span)) {
      if (!this.#othersHere(header, span)) continue;
      const difference = headers.crossingDifference(
        header,
        (offset, length) => {
          const bytes = new Uint8Array(length);
          if (!this.#bytes.copyWith(arriving, offset, bytes)) {
            // A span that could not be read back is missing now; the next try fetches it.
            throw this.#spans.error(
              "worker",
              span,
              "its neighbour cannot be read",
            );
          }
          return bytes;
        },
      );
      if (difference === null) continue;
      if (from === "source") this.#withdrawOthers(header, span, difference);
      throw this.#spans.error("header", span, difference);
    }
  }

  #othersHere(
    { firstSpan, lastSpan }: CrossingHeader,
    except: number,
  ): boolean {
    for (let span = firstSpan; span <= lastSpan; span++) {
      if (span === except) continue;
      if (!isHere(this.#spans.states.at(span))) return false;
    }
    return true;
  }

  /** Withdraws the other spans of a wrong header, which were trusted until now. */
  #withdrawOthers(
    { firstSpan, lastSpan }: CrossingHeader,
    except: number,
    difference: string,
  ): void {
    for (let span = firstSpan; span <= lastSpan; span++) {
      if (span === except) continue;
      const error = this.#spans.error("header", span, difference);
      this.#evictions.withdraw(span, error);
    }
  }

  /** Tries to write a span that is only in memory, unless the disk was full a moment ago. */
  tryDisk(span: number): void {
    if (this.#write(span)) this.#writeHeld();
  }

  /** A write succeeded, so tries to write the spans that are only in memory, too. */
  #writeHeld(): void {
    for (const span of this.#options.uncached.of(this.#spans)) {
      if (!this.#write(span)) return;
    }
  }

  /** @returns whether the span is on the disk now. */
  #write(span: number): boolean {
    const { spans, dataFd, uncached } = this.#options;
    const bytes = uncached.get(this.#spans, span);
    if (bytes === undefined || !uncached.mayWrite) return false;
    try {
      pwriteFully(dataFd, bytes, spans.start(span));
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      uncached.diskFull(error.message);
      return false;
    }
    this.#spans.written(span, crc32(bytes));
    return true;
  }
}
