import type { FaceChoice } from "../faces/mod.ts";
import type { HostFigures } from "../spans/mod.ts";
import type { LateZtocState } from "./late_ztoc.ts";
import type { LayerStore } from "./layers.ts";
import type { CacheFigures, FetchFigures } from "./machinery.ts";
import type { OpenLayer } from "./open_layer.ts";

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
  /** Bytes of the blob whose spans are cached. */
  readonly fetchedBytes: number;
  /** Number of spans in the ztoc. */
  readonly spans: number;
  /** Number of cached spans. */
  readonly cachedSpans: number;
  /** Number of files, directories and all else. */
  readonly inodes: number;
  /** Whether it was taken whole: the kernel reads it without the daemon. */
  readonly whole: boolean;
  /** Whether its ztoc is here. Without it nothing of the layer can be fetched; an older daemon does not say. */
  readonly ztoc?: LateZtocState;
  /** Bytes of the tar that were read since their spans were last asked for, about. */
  readonly readBytes: number;
  /** Reads that wait for bytes at this moment. */
  readonly readers: number;
  /** Compressed bytes that are asked for and not here yet. */
  readonly fetchingBytes: number;
}

/** What start packs brought for the layers that are served, bytes of their tars. */
export interface PackFigures {
  /** Written ahead of their spans. */
  arrivedBytes: number;
  /** Of those the ones that somebody has read. */
  readBytes: number;
  /** Reads that waited for bytes on their way. */
  lateReads: number;
  /** Layers that show nothing of their pack any more, because it lied. */
  lied: number;
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
    /** Compressed bytes of the layers here that came ahead of readers and were not read yet, evicted ones included. */
    readonly unreadAheadBytes: number;
  };
  /** What start packs brought. */
  readonly packs: Readonly<PackFigures>;
  /** What the requests to each host have of the memory that all share. An older daemon does not say. */
  readonly hosts?: readonly HostFigures[];
}

/** Spans that are looked at in one step. */
const STEP_SPANS = 65_536;

/**
 * Takes the status. Reads one byte per span of each layer, in steps: there may be millions.
 * @param turn called between two steps: others have their turn until it resolves.
 */
export async function storeStatus(
  store: Pick<
    LayerStore,
    "all" | "face" | "cacheFigures" | "hostFigures" | "fetched"
  >,
  turn: () => Promise<void>,
): Promise<StoreStatus> {
  const layers: LayerStatus[] = [];
  const packs = { arrivedBytes: 0, readBytes: 0, lateReads: 0, lied: 0 };
  let unreadAheadBytes = 0;
  let looked = 0;
  for (const layer of store.all()) {
    if (looked >= STEP_SPANS) {
      looked = 0;
      await turn();
    }
    if (!layer.isServed) continue; // closed meanwhile
    layers.push(layerStatus(layer));
    unreadAheadBytes += layer.reader.unreadAheadBytes;
    addPack(packs, layer.pack);
    looked += layer.spans.count;
  }
  return {
    layers: layers.sort((a, b) => a.slot - b.slot),
    face: store.face,
    cache: store.cacheFigures(),
    fetched: { ...store.fetched, unreadAheadBytes },
    packs,
    hosts: store.hostFigures(),
  };
}

function addPack(
  sum: PackFigures,
  { use, lied }: Pick<OpenLayer["pack"], "use" | "lied">,
): void {
  sum.arrivedBytes += use.arrivedBytes;
  sum.readBytes += Math.min(use.readBytes, use.arrivedBytes);
  sum.lateReads += use.lateReads;
  sum.lied += Number(lied.aborted);
}

function layerStatus(layer: OpenLayer): LayerStatus {
  const { spans, map } = layer;
  let cachedBytes = 0;
  let cachedSpans = 0;
  let fetchedBytes = 0;
  for (let span = 0; span < spans.count; span++) {
    if (!map.has(span)) continue;
    cachedSpans++;
    cachedBytes += spans.end(span) - spans.start(span);
    fetchedBytes += spans.compressedEnd(span) - spans.compressedStart(span);
  }
  return {
    slot: layer.slot,
    digest: layer.layerDigest,
    directory: layer.directory,
    sizeBytes: layer.compressedSize,
    dataBytes: spans.end(spans.count - 1),
    cachedBytes,
    // Neighbours share a byte, and what is between members belongs to none.
    fetchedBytes: cachedSpans === spans.count
      ? layer.compressedSize
      : Math.min(fetchedBytes, layer.compressedSize),
    spans: spans.count,
    cachedSpans,
    inodes: layer.inodes,
    whole: layer.isWhole,
    ztoc: layer.late.state,
    ...layer.reader.activity,
  };
}
