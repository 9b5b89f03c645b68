import { setTimeout as pause } from "node:timers/promises";
import { WINDOW_BYTES } from "../../formats/deflate/mod.ts";
import type { Digest } from "../../formats/oci/mod.ts";
import type { SpanTable } from "../../formats/ztoc/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import {
  hashLayer,
  type LayerReader,
  type LayerTail,
  SpanError,
  type SpanSources,
} from "../spans/mod.ts";
import type { LayerFolder } from "../store/mod.ts";

const log = logger("images");

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
        endTurn();
        if (await this.#isDamaged(reader, digest, signal)) return null;
        if (reader.evictions !== before) continue;
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

  /**
   * Whether the data file is not what was written into it. Then the wrong spans are missing from now on, and
   * nothing is said against the ztoc.
   * @throws Error when the spans cannot be fetched once more: then all of them are missing.
   */
  async #isDamaged(
    reader: LayerReader,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { folder: { spans: { count } }, layerDigest } = this.#options;
    let damaged: readonly number[];
    try {
      damaged = await reader.damaged(signal);
    } catch (error) {
      if (signal.aborted) return true;
      await reader.evict(Array.from({ length: count }, (_, span) => span));
      throw new Error(
        `the whole layer is ${digest}, and its source does not show why: it is fetched again`,
        { cause: error },
      );
    }
    if (damaged.length === 0) return false;
    log.error("the disk changed bytes of a layer, they are fetched again", {
      layer: layerDigest,
      spans: damaged.length,
      first: damaged[0],
    });
    await reader.evict(damaged);
    return true;
  }

  /** The bytes that follow the tar's end marker. They must have the digests that the ztoc lists. */
  async #tail(signal: AbortSignal): Promise<LayerTail | null> {
    const { folder, sources } = this.#options;
    const { spans, compressedSize, uncompressedSize } = folder;
    const last = spans.count - 1;
    const { compression } = folder;
    if (last < 0) return null;
    const isPacked = compression !== "uncompressed";
    // A compressed stream can only be entered at a span; a plain tail may begin within one.
    const from = isPacked || spans.compressedEnd(last) > uncompressedSize
      ? last
      : spans.count;
    if (from === spans.listed) return null;
    const start = spans.compressedStart(from);
    const size = compressedSize - start;
    if (size > MAX_TAIL_BYTES) {
      throw new Error(`${size} bytes would have to be fetched again`);
    }
    const bytes = new Uint8Array(size);
    await sources.fetch(start, compressedSize, bytes, {
      signal,
      timeoutMs: TAIL_MS,
      // It may be another source than the one that gave the spans.
      isRight: (bytes) => haveDigests(bytes, spans, from),
    });
    if (compression === "uncompressed") {
      return { kind: "plain", bytes: bytes.slice(uncompressedSize - start) };
    }
    const skip = spans.end(last) - spans.start(last);
    if (compression === "zstd") {
      return { kind: "zstd", compressed: bytes, skip };
    }
    return {
      kind: "gzip",
      compressed: bytes,
      bits: spans.bits(last),
      window: new Uint8Array(
        spans.window(last) ?? new Uint8Array(WINDOW_BYTES),
      ),
      skip,
    };
  }
}

/** Whether compressed bytes, from a span's first one to the blob's end, are those of the ztoc's digests. */
async function haveDigests(
  bytes: Uint8Array<ArrayBuffer>,
  spans: SpanTable,
  from: number,
): Promise<boolean> {
  const start = spans.compressedStart(from);
  for (let span = from; span < spans.listed; span++) {
    const part = bytes.subarray(
      spans.compressedStart(span) - start,
      spans.compressedEnd(span) - start,
    );
    const digest = await crypto.subtle.digest("SHA-256", part);
    if (`sha256:${new Uint8Array(digest).toHex()}` !== spans.digest(span)) {
      return false;
    }
  }
  return true;
}
