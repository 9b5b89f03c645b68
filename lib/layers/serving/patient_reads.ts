import { setTimeout as pause } from "node:timers/promises";
import { RegistryError } from "../../remote/registry/mod.ts";
import {
  type LayerReader,
  NoSourceError,
  NotYetHere,
  SpanError,
} from "../spans/mod.ts";

/** How long a registry that failed is left alone before a waiting reader asks again, ms: at first, at most. */
const FIRST_REST_MS = 100;
const LAST_REST_MS = 5_000;

/** A read waited as long as a read may. */
export class ReadTimeoutError extends Error {
  /** The class's name, for logs. */
  override readonly name = "ReadTimeoutError";
  /**
   * Nothing came within `waitMs`.
   * @param options.cause what the last try failed with, if one failed by itself.
   */
  constructor(
    /** Of the layer blob. */
    readonly layerDigest: string,
    /** How long it waited. */
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
  return error instanceof RegistryError || error instanceof NoSourceError ||
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

  constructor(reader: LayerReader, waitMs: number) {
    this.#reader = reader;
    this.#waitMs = waitMs;
  }

  /**
   * Resolves when the bytes are here. The next read after a failed one asks again.
   * @throws ReadTimeoutError, SpanError, or the signal's reason.
   */
  async ensure(
    offset: number,
    length: number,
    signal: AbortSignal,
  ): Promise<void> {
    const late = new AbortController();
    let failure: unknown;
    // When some bytes came last, where they come in their order only.
    let arrivedMs = () => -Infinity;
    let timer: ReturnType<typeof setTimeout>;
    const wait = (ms: number) => {
      timer = setTimeout(() => {
        // Its turn comes as long as others get what they wait for.
        const silentMs = performance.now() - arrivedMs();
        if (silentMs < this.#waitMs) return wait(this.#waitMs - silentMs);
        late.abort(
          new ReadTimeoutError(this.#reader.layerDigest, this.#waitMs, {
            cause: failure,
          }),
        );
      }, ms);
    };
    wait(this.#waitMs);
    const either = AbortSignal.any([signal, late.signal]);
    try {
      for (
        let restMs = FIRST_REST_MS;;
        restMs = Math.min(2 * restMs, LAST_REST_MS)
      ) {
        try {
          return await this.#inTurn(offset, length, either, (turn) => {
            arrivedMs = turn.lastArrivalMs;
          });
        } catch (error) {
          if (either.aborted || !mayPass(error)) throw error;
          failure = error;
        }
        await pause(restMs, null, { signal: either })
          .catch(() => either.throwIfAborted());
      }
    } finally {
      clearTimeout(timer!);
    }
  }

  /** As the reader's own `ensure`, and comes again where bytes come in their order only. */
  async #inTurn(
    offset: number,
    length: number,
    signal: AbortSignal,
    onTurn: (turn: NotYetHere) => void,
  ): Promise<void> {
    while (true) {
      try {
        return await this.#reader.ensure(offset, length, "demand", signal);
      } catch (error) {
        if (!(error instanceof NotYetHere)) throw error;
        onTurn(error);
        await error.arrived(signal);
      }
    }
  }
}
