import type { FaceChoice } from "../faces/mod.ts";
import type { LayerStore } from "./layers.ts";
import type { CacheFigures, FetchFigures } from "./machinery.ts";

/** One served layer, as `status` shows it. */
export interface LayerStatus {
  /** The name of its folder. */
  readonly slot: number;
  /** Of the layer blob. */
  readonly digest: string;
  /** Where it is shown. */
  readonly directory: string;
  /** Of the blob. */
  readonly sizeBytes: number;
  /** Of the tar. */
  readonly dataBytes: number;
  /** Of the tar, in the cache. */
  readonly cachedBytes: number;
  /** Of the ztoc. */
  readonly spans: number;
  /** In the cache. */
  readonly cachedSpans: number;
  /** Files, directories and all else in it. */
  readonly inodes: number;
}

/** What a store serves and holds at this moment. */
export interface StoreStatus {
  /** By slot, ascending. */
  readonly layers: readonly LayerStatus[];
  /** How layers are shown, and why so. */
  readonly face: FaceChoice;
  /** How full the caches are. */
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
