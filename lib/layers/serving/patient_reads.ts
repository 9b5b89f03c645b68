import { setTimeout as pause } from "node:timers/promises";
import { RegistryError } from "../../remote/registry/mod.ts";
import {
  type LayerReader,
  NoSourceError,
  NotYetHere,
  SpanError,
} from "../spans/mod.ts";
import { ZtocRoomError } from "./ztoc_room.ts";

/** Backoff before a waiting read retries after a failure, ms: at first, and at most. */
const FIRST_REST_MS = 100;
const LAST_REST_MS = 5_000;

/** A read waited until its time was up. */
export class ReadTimeoutError extends Error {
  /** The class's name, for logs. */
  override readonly name = "ReadTimeoutError";
  /**
   * The bytes did not come within `waitMs`.
   * @param options.cause the last try's error, if a try failed.
   */
  constructor(
    /** The layer blob's digest. */
    readonly layerDigest: string,
    /** How long the read waited, ms. */
    readonly waitMs: number,
    options: ErrorOptions = {},
  ) {
    const { cause } = options;
    const why = cause instanceof Error ? `, ${cause.message}` : "";
    super(`layer ${layerDigest}: no data within ${waitMs} ms${why}`, options);
  }
}

/** Reads that waited for bytes. */
export interface WaitFigures {
  /** How many. */
  waits: number;
  /** How long all of them, ms. */
  waitedMs: number;
}

/** Whether a retry may help: the registry failed or gave wrong bytes, a Worker crashed, or the disk is full. */
function mayPass(error: unknown): boolean {
  return error instanceof RegistryError || error instanceof NoSourceError ||
    error instanceof ZtocRoomError ||
    (error instanceof SpanError &&
      (error.kind === "digest" || error.kind === "worker"));
}

/**
 * Reads of one layer that retry until their time is up. Any failure of a registry may pass, even
 * one that looks final (an expired login, a missing blob, a wrong certificate). So a reader gets an
 * error only when its time is up.
 */
export class PatientReads {
  readonly #reader: LayerReader;
  readonly #waitMs: number;
  readonly #figures: WaitFigures;

  /** @param figures where its waits are counted. */
  constructor(reader: LayerReader, waitMs: number, figures: WaitFigures) {
    this.#reader = reader;
    this.#waitMs = waitMs;
    this.#figures = figures;
  }

  /**
   * Resolves when the bytes are here. After a failure, the next read tries again.
   * @throws ReadTimeoutError, SpanError, or the signal's reason.
   */
  async ensure(
    offset: number,
    length: number,
    signal: AbortSignal,
  ): Promise<void> {
    const late = new AbortController();
    let failure: unknown;
    // When bytes last arrived, for a source that gives them in order only.
    let arrivedMs = () => -Infinity;
    let timer: ReturnType<typeof setTimeout>;
    const wait = (ms: number) => {
      timer = setTimeout(() => {
        // Keep waiting while bytes for others arrive: ours will be next.
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
    const startMs = performance.now();
    this.#figures.waits++;
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
      this.#figures.waitedMs += performance.now() - startMs;
    }
  }

  /** Like the reader's `ensure`, but retries if the source gives its bytes in order only. */
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
