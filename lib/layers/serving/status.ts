import type { FaceChoice } from "../faces/mod.ts";
import type { LayerStore } from "./layers.ts";
import type { CacheFigures, FetchFigures } from "./machinery.ts";

/** One served layer, as `status` shows it. */
export interface LayerStatus {
  readonly slot: number;
  readonly digest: string;
  readonly directory: string;
  /** Bytes of the blob, and of the tar inside. */
  readonly sizeBytes: number;
  readonly dataBytes: number;
  /** Of the tar, in the cache. */
  readonly cachedBytes: number;
  readonly spans: number;
  readonly cachedSpans: number;
  readonly inodes: number;
}

/** What a store serves and holds at this moment. */
export interface StoreStatus {
  readonly layers: readonly LayerStatus[];
  /** How layers are shown, and why so. */
  readonly face: FaceChoice;
  readonly cache: CacheFigures;
  /** Since the process started. */
  readonly fetched: FetchFigures;
}

/** Counts what is here; a look at one byte for each span of each layer. */
export function storeStatus(store: LayerStore): StoreStatus {
  const layers = store.all().map((layer): LayerStatus => {
    const { spans, map } = layer;
    let cachedBytes = 0;
    let cachedSpans = 0;
    for (let span = 0; span < spans.count; span++) {
      if (!map.has(span)) continue;
      cachedSpans++;
      cachedBytes += spans.end(span) - spans.start(span);
    }
    return {
      slot: layer.slot,
      digest: layer.layerDigest,
      directory: layer.directory,
      sizeBytes: layer.compressedSize,
      dataBytes: spans.end(spans.count - 1),
      cachedBytes,
      spans: spans.count,
      cachedSpans,
      inodes: layer.inodes,
    };
  });
  return {
    layers: layers.sort((a, b) => a.slot - b.slot),
    face: store.face,
    cache: store.cacheFigures(),
    fetched: { ...store.fetched },
  };
}
