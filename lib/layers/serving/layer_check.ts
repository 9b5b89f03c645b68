import { setTimeout as pause } from "node:timers/promises";
import { WINDOW_BYTES } from "../../formats/deflate/mod.ts";
import type { Digest } from "../../formats/oci/mod.ts";
import {
  hashLayer,
  type LayerReader,
  type LayerTail,
  SpanError,
  type SpanSources,
} from "../spans/mod.ts";
import type { LayerFolder } from "../store/mod.ts";

/** The most compressed bytes fetched again to see what lies behind a tar's end. */
const MAX_TAIL_BYTES = 64 * 2 ** 20;
/** Small layers are complete in the midst of a container's start: the cores are left to it, ms. */
const DELAY_MS = 2_000;
/** How long a source may take to give what lies behind a tar's end, ms. */
const TAIL_MS = 30_000;

/** What is checked. */
export interface LayerCheckOptions {
  readonly layerDigest: string;
  readonly folder: LayerFolder;
  readonly sources: SpanSources;
}

/**
 * Compares a layer that is complete with its diff ID. Span digests and checkpoints are the ztoc's own
 * word, headers are checked as they come; this is what holds the contents to the image's manifest.
 *
 * The folder remembers the diff ID and that the check was passed: spans that are given up and fetched
 * again have the digests they had.
 */
export class LayerCheck {
  readonly #options: LayerCheckOptions;
  #running: Promise<SpanError | null> | null = null;
  /** Aborted when somebody waits for the outcome. */
  readonly #hurry = new AbortController();
  /** One layer at a time takes a core: nobody waits for it. */
  static #turn: Promise<unknown> = Promise.resolve();

  constructor(options: LayerCheckOptions) {
    this.#options = options;
  }

  /**
   * Checks the layer, unless that was done, or spans are missing again by now.
   * @param when `later`: a container may be starting, the cores are left to it for a while.
   * @returns the error that condemns the layer, or null.
   * @throws what kept it from being checked.
   */
  async run(
    reader: LayerReader,
    signal: AbortSignal,
    when: "at once" | "later",
  ): Promise<SpanError | null> {
    const { isChecked, diffId } = this.#options.folder;
    if (isChecked || diffId === null) return null;
    if (when === "at once") this.#hurry.abort();
    if (this.#running !== null) return await this.#running;
    this.#running = this.#inTurn((endTurn) =>
      this.#run(reader, diffId, signal, endTurn)
    );
    try {
      return await this.#running;
    } finally {
      this.#running = null;
    }
  }

  async #inTurn<T>(work: (endTurn: () => void) => Promise<T>): Promise<T> {
    const turn = Promise.withResolvers<void>();
    const before = LayerCheck.#turn;
    LayerCheck.#turn = before.then(() => turn.promise);
    await before;
    try {
      return await work(turn.resolve);
    } finally {
      turn.resolve();
    }
  }

  async #run(
    reader: LayerReader,
    diffId: Digest,
    signal: AbortSignal,
    endTurn: () => void,
  ): Promise<SpanError | null> {
    const { folder, layerDigest } = this.#options;
    const awake = AbortSignal.any([signal, this.#hurry.signal]);
    await pause(DELAY_MS, undefined, { signal: awake }).catch(() => {}); // aborted: seen below
    while (reader.complete && !signal.aborted) {
      const before = reader.evictions;
      const digest = await hashLayer(
        `${folder.path}/data`,
        folder.uncompressedSize,
        diffId,
        {
          tail: () => {
            endTurn(); // no other layer's check waits for this one's registry
            return this.#tail(signal);
          },
          signal,
        },
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
      folder.setChecked();
      return null;
    }
    return null;
  }

  /** What comes behind the tar's end marker. */
  async #tail(signal: AbortSignal): Promise<LayerTail | null> {
    const { folder, sources } = this.#options;
    const { spans, compressedSize, uncompressedSize } = folder;
    const last = spans.count - 1;
    const gzip = folder.compression === "gzip";
    if (last < 0) return null;
    const start = gzip ? spans.compressedStart(last) : uncompressedSize;
    const size = compressedSize - start;
    if (size === 0) return null;
    if (size > MAX_TAIL_BYTES) {
      throw new Error(`${size} bytes would have to be fetched again`);
    }
    const bytes = new Uint8Array(size);
    await sources.fetch(start, compressedSize, bytes, {
      signal,
      timeoutMs: TAIL_MS,
    });
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
