import type { Digest } from "../../formats/oci/mod.ts";
import {
  decodePrefetch,
  MAX_PREFETCH_BYTES,
  prefetchForLayer,
  type SpanRange,
} from "../../formats/soci/mod.ts";
import type { SpanTable } from "../../formats/ztoc/mod.ts";
import { type IndexedImage, ztocOf } from "../../remote/image/mod.ts";
import type { RegistryClient } from "../../remote/registry/mod.ts";
import type { LayerStore, OpenLayer } from "../../layers/serving/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import { FairSemaphore } from "./fair_semaphore.ts";

const log = logger("images");

/** `[prefetch]`: what is done with the prefetch lists of indexes. */
export interface PrefetchOptions {
  /** Whether the spans that they name are fetched before somebody reads them. */
  readonly enabled: boolean;
  /** How many layers are prefetched at once; 0: any number. */
  readonly maxLayers: number;
}

/**
 * Fetches what the prefetch lists of an index name, layer by layer, as soon as a layer is open. No mount
 * waits for it, and readers go first. Where a list cannot be had or used, the log says so.
 */
export class PrefetchLists {
  readonly #client: RegistryClient;
  readonly #store: Pick<LayerStore, "ahead">;
  readonly #enabled: boolean;
  readonly #layers: FairSemaphore;

  /** Fetches nothing by itself. Client and store stay the caller's. */
  constructor(
    client: RegistryClient,
    store: Pick<LayerStore, "ahead">,
    { enabled, maxLayers }: PrefetchOptions,
  ) {
    this.#client = client;
    this.#store = store;
    this.#enabled = enabled;
    this.#layers = new FairSemaphore(maxLayers > 0 ? maxLayers : Infinity);
  }

  /** Prefetches a layer of an image that was opened. Resolves at its end, however it ended. */
  async run(
    image: IndexedImage,
    layer: OpenLayer,
    signal: AbortSignal,
  ): Promise<void> {
    const { layerDigest } = layer;
    const list = this.#listOf(image, layer);
    if (list === null) return;
    try {
      await this.#layers.run(image.reference.host, 1, async () => {
        if (!layer.isServed) return;
        const bytes = await this.#client.blobBytes(image.reference, list, {
          maxBytes: MAX_PREFETCH_BYTES,
          signal,
        });
        const { first, listed } = layer.spans;
        const ranges = listedRanges(
          layer.spans,
          decodePrefetch(bytes, first + listed),
        );
        const outcome = await this.#store.ahead.fetch(
          ranges.map((range) => ({ ...range, layer })),
          { signal },
        );
        log.debug("prefetched", { layer: layerDigest, ...outcome });
      });
    } catch (error) {
      if (signal.aborted) return;
      log.warn("prefetch list cannot be used", {
        image: image.reference.toString(),
        layer: layerDigest,
        list: list.digest,
        error: String(error),
      });
    }
  }

  /** Null where there is none for the ztoc that the layer is served with: a list counts spans of that one. */
  #listOf(image: IndexedImage, { identity }: OpenLayer) {
    if (!this.#enabled || image.index === null) return null;
    const layer = identity.layerDigest as Digest;
    if (ztocOf(image, layer)?.digest !== identity.ztocDigest) return null;
    return prefetchForLayer(image.index.index, layer);
  }
}

/** The parts of the tar that listed spans hold. Lists count all spans of a ztoc, also those that hold nothing. */
export function listedRanges(
  spans: Pick<SpanTable, "first" | "count" | "start" | "end">,
  list: readonly SpanRange[],
): { offset: number; length: number }[] {
  const { first, count } = spans;
  return list.flatMap((range) => {
    const start = Math.max(0, range.start - first);
    const end = Math.min(count - 1, range.end - first);
    if (start > end) return [];
    const offset = spans.start(start);
    return [{ offset, length: spans.end(end) - offset }];
  });
}
