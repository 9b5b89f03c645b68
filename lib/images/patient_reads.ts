import { setTimeout as pause } from "node:timers/promises";
import { RegistryError } from "../registry/mod.ts";
import { type LayerReader, SpanError } from "../spans/mod.ts";

/** How long a registry that failed is left alone before a waiting reader asks again, ms: at first, at most. */
const FIRST_REST_MS = 100;
const LAST_REST_MS = 5_000;
/**
 * How long a span that a reader waited for in vain fails at once, ms. The kernel asks again for each
 * page of a read-ahead that failed; each would wait as long as the first, one after the other.
 */
const GIVEN_UP_MS = 500;
const MAX_GIVEN_UP = 1024;

/** A read waited as long as a read may. */
export class ReadTimeoutError extends Error {
  override readonly name = "ReadTimeoutError";
  /** @param options.cause what the last try failed with, if one failed by itself. */
  constructor(
    readonly layerDigest: string,
    readonly waitMs: number,
    options: ErrorOptions = {},
  ) {
    const { cause } = options;
    const why = cause instanceof Error ? `, ${cause.message}` : "";
    super(`layer ${layerDigest}: no data within ${waitMs} ms${why}`, options);
  }
}

/** Whether a span that failed so may yet come: the registry failed or gave other bytes, or a Worker broke down. */
function mayPass(error: unknown): boolean {
  return error instanceof RegistryError ||
    (error instanceof SpanError &&
      (error.kind === "digest" || error.kind === "worker"));
}

/**
 * Reads of one layer that wait for bytes as long as readers wait. Whatever a registry does meanwhile
 * may pass, also what it says for good (a login that ended, a blob that is not there, another
 * certificate): readers must not be told of it before their time is over.
 */
export class PatientReads {
  readonly #reader: LayerReader;
  readonly #waitMs: number;
  /** By span: what it failed with, and until when it does. */
  readonly #givenUp = new Map<number, { error: Error; untilMs: number }>();

  constructor(reader: LayerReader, waitMs: number) {
    this.#reader = reader;
    this.#waitMs = waitMs;
  }

  /**
   * Resolves when the bytes are here. A read that comes later than `GIVEN_UP_MS` after a failed one
   * asks again.
   * @throws ReadTimeoutError, SpanError, or the signal's reason.
   */
  async ensure(
    offset: number,
    length: number,
    signal: AbortSignal,
  ): Promise<void> {
    const span = this.#reader.spanAt(offset);
    const known = this.#givenUp.get(span);
    if (known !== undefined) {
      if (performance.now() < known.untilMs) throw known.error;
      this.#givenUp.delete(span);
    }
    const late = new AbortController();
    let failure: unknown;
    const timer = setTimeout(() => {
      const error = new ReadTimeoutError(
        this.#reader.layerDigest,
        this.#waitMs,
        { cause: failure },
      );
      this.#giveUp(span, error);
      late.abort(error);
    }, this.#waitMs);
    const either = AbortSignal.any([signal, late.signal]);
    try {
      for (
        let restMs = FIRST_REST_MS;;
        restMs = Math.min(2 * restMs, LAST_REST_MS)
      ) {
        try {
          return await this.#reader.ensure(offset, length, "demand", either);
        } catch (error) {
          if (either.aborted || !mayPass(error)) throw error;
          failure = error;
        }
        await pause(restMs, null, { signal: either })
          .catch(() => either.throwIfAborted());
      }
    } finally {
      clearTimeout(timer);
    }
  }

  #giveUp(span: number, error: Error): void {
    if (this.#givenUp.size >= MAX_GIVEN_UP) this.#givenUp.clear();
    const untilMs = performance.now() + GIVEN_UP_MS;
    this.#givenUp.set(span, { error, untilMs });
  }
}
