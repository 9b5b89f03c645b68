import type { FaceChoice } from "../faces/mod.ts";
import type { LayerStore } from "./layers.ts";
import type { CacheFigures, FetchFigures } from "./machinery.ts";

/** One served layer, as `status` shows it. */
export interface LayerStatus {
  /** The slot, which is also the name of its folder. */
  readonly slot: number;
  /** The layer blob's digest. */
  readonly digest: string;
  /** Where it is mounted. */
  readonly directory: string;
  /** Bytes of the blob. */
  readonly sizeBytes: number;
  /** Bytes of the uncompressed tar. */
  readonly dataBytes: number;
  /** Bytes of the tar that are cached. */
  readonly cachedBytes: number;
  /** Number of spans in the ztoc. */
  readonly spans: number;
  /** Number of cached spans. */
  readonly cachedSpans: number;
  /** Number of files, directories and all else. */
  readonly inodes: number;
}

/** What a store serves and caches at this moment. */
export interface StoreStatus {
  /** By slot, ascending. */
  readonly layers: readonly LayerStatus[];
  /** How layers are shown, and why. */
  readonly face: FaceChoice;
  /** How full the caches are. */
  readonly cache: CacheFigures;
  /** What was fetched since the store was opened. */
  readonly fetched: Readonly<FetchFigures> & {
    /** Compressed bytes that came ahead of readers, are still here, and were not read yet. */
    readonly unreadAheadBytes: number;
  };
}

/** Takes the status. Reads one byte per span of each layer. */
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
    fetched: {
      ...store.fetched,
      unreadAheadBytes: store.all().reduce(
        (sum, { reader }) => sum + reader.unreadAheadBytes,
        0,
      ),
    },
  };
}
