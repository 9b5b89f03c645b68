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

/** At most so many compressed bytes are fetched again to read what follows the tar's end marker. */
const MAX_TAIL_BYTES = 64 * 2 ** 20;
/** Small layers are complete while a container is still starting, which needs the cores: the check waits, ms. */
const DELAY_MS = 2_000;
/** How long a source may take to give what follows the tar's end marker, ms. */
const TAIL_MS = 30_000;

/** The layer to check. */
export interface LayerCheckOptions {
  readonly layerDigest: string;
  readonly folder: LayerFolder;
  readonly sources: SpanSources;
}

/**
 * Compares a complete layer with its diff ID. Span digests and checkpoints come from the ztoc itself, and
 * tar headers are checked as they come. Only this check compares the contents with the image's configuration.
 *
 * The folder remembers the diff ID and that the check passed. It need not be repeated when spans are evicted
 * and fetched again, because they must have the same digests.
 */
export class LayerCheck {
  readonly #options: LayerCheckOptions;
  #running = false;
  /** One layer at a time, so that checks take one core at most. */
  static #turn: Promise<unknown> = Promise.resolve();

  constructor(options: LayerCheckOptions) {
    this.#options = options;
  }

  /**
   * Checks the layer, unless it was checked before or spans are missing by now.
   * @returns the error that condemns the layer, or null.
   * @throws what kept it from being checked.
   */
  async run(
    reader: LayerReader,
    signal: AbortSignal,
  ): Promise<SpanError | null> {
    const { isChecked, diffId } = this.#options.folder;
    if (isChecked || this.#running || diffId === null) return null;
    this.#running = true;
    try {
      const turn = Promise.withResolvers<void>();
      const before = LayerCheck.#turn;
      LayerCheck.#turn = before.then(() => turn.promise);
      await before;
      try {
        return await this.#run(reader, diffId, signal, turn.resolve);
      } finally {
        turn.resolve();
      }
    } finally {
      this.#running = false;
    }
  }

  async #run(
    reader: LayerReader,
    diffId: Digest,
    signal: AbortSignal,
    endTurn: () => void,
  ): Promise<SpanError | null> {
    const { folder, layerDigest } = this.#options;
    await pause(DELAY_MS, undefined, { signal }).catch(() => {}); // aborted: seen below
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

  /** The bytes that follow the tar's end marker. */
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
