import { setTimeout as pause } from "node:timers/promises";
import { readTextIfThere } from "../../host/files/mod.ts";
import { type Digest, isDigest } from "../../formats/oci/mod.ts";
import {
  hashLayer,
  type LayerReader,
  type LayerTail,
  SpanError,
  type SpanSource,
} from "../spans/mod.ts";
import type { SpanTable, Ztoc } from "../../formats/ztoc/mod.ts";

/** The most compressed bytes fetched again to see what lies behind a tar's end. */
const MAX_TAIL_BYTES = 64 * 2 ** 20;
const WINDOW_BYTES = 32_768;
/** Small layers are complete in the midst of a container's start: the cores are left to it, ms. */
const DELAY_MS = 2_000;

/** What is checked. */
export interface LayerCheckOptions {
  /** The layer's folder: holds `data`, and what is known of its digest. */
  readonly folder: string;
  readonly layerDigest: string;
  /** Nothing was in the folder before. */
  readonly isNew: boolean;
  /** What the whole tar must be; null: what the folder says, if it does. */
  readonly diffId: Digest | null;
  readonly spans: SpanTable;
  /** Of all of the ztoc just this: it is kept as long as the layer is served. */
  readonly ztoc: Pick<
    Ztoc,
    "compression" | "compressedSize" | "uncompressedSize"
  >;
  readonly source: SpanSource;
}

/**
 * Compares a layer that is complete with its diff ID. Span digests and checkpoints are the ztoc's own
 * word, headers are checked as they come; this is what holds the contents to the image's manifest.
 *
 * The folder remembers the diff ID (`diff-id`) and that the check was passed (`checked`): spans that
 * are given up and fetched again have the digests they had.
 */
export class LayerCheck {
  readonly #options: LayerCheckOptions;
  readonly #diffId: Digest | null;
  /** To be written to `diff-id` in the folder; null when it is there. */
  readonly newDiffId: Digest | null;
  #passed: boolean;
  #running = false;
  /** One layer at a time: nobody waits for it. */
  static #turn: Promise<unknown> = Promise.resolve();

  private constructor(
    options: LayerCheckOptions,
    diffId: Digest | null,
    newDiffId: Digest | null,
    passed: boolean,
  ) {
    this.#options = options;
    this.#diffId = diffId;
    this.newDiffId = newDiffId;
    this.#passed = passed;
  }

  /** Knows what an earlier run found out; `newDiffId` is the caller's to write. */
  static open(options: LayerCheckOptions): LayerCheck {
    const { folder, diffId, isNew } = options;
    if (isNew) return new LayerCheck(options, diffId, diffId, false);
    const known = readTextIfThere(`${folder}/diff-id`);
    const newDiffId = diffId === known ? null : diffId;
    const wanted = diffId ?? (isDigest(known) ? known : null);
    const passed = wanted !== null &&
      readTextIfThere(`${folder}/checked`) === wanted;
    return new LayerCheck(options, wanted, newDiffId, passed);
  }

  /** Whether the whole layer was seen to be right. */
  get passed(): boolean {
    return this.#passed;
  }

  /**
   * Checks the layer, unless that was done, or spans are missing again by now.
   * @returns the error that condemns the layer, or null.
   * @throws what kept it from being checked.
   */
  async run(
    reader: LayerReader,
    signal: AbortSignal,
  ): Promise<SpanError | null> {
    if (this.#passed || this.#running || this.#diffId === null) return null;
    this.#running = true;
    try {
      const turn = LayerCheck.#turn.then(() => this.#run(reader, signal));
      LayerCheck.#turn = turn.catch(() => {});
      return await turn;
    } finally {
      this.#running = false;
    }
  }

  async #run(
    reader: LayerReader,
    signal: AbortSignal,
  ): Promise<SpanError | null> {
    const { folder, ztoc, layerDigest } = this.#options;
    const diffId = this.#diffId!;
    await pause(DELAY_MS, undefined, { signal }).catch(() => {}); // aborted: seen below
    while (reader.complete && !signal.aborted) {
      const before = reader.evictions;
      const digest = await hashLayer(
        `${folder}/data`,
        ztoc.uncompressedSize,
        diffId,
        { tail: () => this.#tail(signal), signal },
      );
      if (reader.evictions !== before) continue; // it may have read a hole
      if (digest !== diffId) {
        return new SpanError(
          "layer",
          layerDigest,
          0,
          0,
          `the whole layer is ${digest}, not ${diffId}: the ztoc lies about its contents`,
        );
      }
      this.#passed = true;
      Deno.writeTextFileSync(`${folder}/checked`, diffId, { mode: 0o600 });
      return null;
    }
    return null;
  }

  /** What comes behind the tar's end marker. */
  async #tail(signal: AbortSignal): Promise<LayerTail | null> {
    const { ztoc, spans, source } = this.#options;
    const last = spans.count - 1;
    const gzip = ztoc.compression === "gzip";
    if (last < 0) return null;
    const start = gzip ? spans.compressedStart(last) : ztoc.uncompressedSize;
    const size = ztoc.compressedSize - start;
    if (size === 0) return null;
    if (size > MAX_TAIL_BYTES) {
      throw new Error(`${size} bytes would have to be fetched again`);
    }
    const bytes = new Uint8Array(size);
    await source.fetch(start, ztoc.compressedSize, bytes, signal);
    return gzip
      ? {
        kind: "gzip",
        compressed: bytes,
        bits: spans.bits(last),
        window: new Uint8Array(
          spans.window(last) ?? new Uint8Array(WINDOW_BYTES),
        ),
        skip: spans.end(last) - spans.start(last),
      }
      : { kind: "plain", bytes };
  }
}
