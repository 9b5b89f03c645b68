import {
  bytesOnDisk,
  FileError,
  isFullDatabase,
  namesIn,
  removeFolder,
} from "../../host/files/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import {
  hasWholeData,
  type IdleLayerFolders,
  isKeptBlob,
  openSlotTable,
  slotOf,
  SlotTableStore,
  takeLock,
} from "../store/mod.ts";
import { layersDirectoryOf } from "./start.ts";

const log = logger("images");
/** What garbage collection removed. */
export interface CollectedGarbage {
  /** Number of layers. */
  readonly layers: number;
  /** Bytes on disk. */
  readonly bytes: number;
}

/**
 * Removes every layer cache below `root` that no snapshot uses, and what crashes left behind. Keeps
 * mounts that wait for the next daemon, and the layers they show.
 * @param inUse the directories of the layers that snapshots use.
 * @throws RootInUseError if a process serves this root; StateVersionError
 */
export function collectGarbage(
  root: string,
  inUse: readonly string[],
): CollectedGarbage {
  using _lock = takeLock(`${root}/lock`);
  if (!SlotTableStore.exists(`${root}/slots.db`)) {
    return { layers: 0, bytes: 0 };
  }
  using slots = openSlotTable({
    root,
    layersDirectory: layersDirectoryOf(root),
    handedOver: null,
  });
  return removeLayersBut(root, slots, {
    wanted: new Set(inUse.map(slotOf)),
    isLeft: () => false,
  });
}

/**
 * Removes every layer below `root` except some: slots, caches, and anything else in the layers and
 * downloads folders. Only the process that holds the root's lock may call it, and only while no
 * layer is being opened.
 * @param but.isLeft whether an unfinished file of that name stays.
 */
function removeLayersBut(
  root: string,
  slots: SlotTableStore,
  { wanted, isLeft }: {
    readonly wanted: ReadonlySet<number | null>;
    readonly isLeft: (name: string) => boolean;
  },
): CollectedGarbage {
  let layers = 0;
  let bytes = 0;
  const kept = new Set<string>();
  for (const { slot, layerDigest: layer } of slots.all()) {
    if (wanted.has(slot)) {
      kept.add(String(slot));
      continue;
    }
    log.info("layer of no snapshot is forgotten", { slot, layer });
    slots.remove(slot); // first: a folder without a slot is garbage, a slot without a folder is not
    layers++;
  }
  const layersDirectory = layersDirectoryOf(root);
  for (const folder of [layersDirectory, `${root}/ingest`]) {
    for (const name of namesIn(folder)) {
      if (folder === layersDirectory ? kept.has(name) : isLeft(name)) continue;
      bytes += bytesBelow(`${folder}/${name}`);
      removeFolder(`${folder}/${name}`);
    }
  }
  return { layers, bytes };
}

/**
 * What a start removes: every layer below `root` but those that are wanted. A disk that takes nothing keeps them until
 * the next start.
 * @param given.others `kept`: nobody knows who used them, so they stay as caches.
 * @returns removes what stays for now: the last process was killed while it brought an image, and its layers that are
 * whole are for whoever pulls it again within `KEPT_UNUSED_MS`. Kept blobs of others stay: see `KeptBlobs`.
 */
export function sweepLayers(
  root: string,
  { slots, idle, wanted, others }: {
    readonly slots: SlotTableStore;
    readonly idle: IdleLayerFolders;
    readonly wanted: Set<number | null>;
    readonly others: "removed" | "kept";
  },
): () => void {
  const whole: number[] = [];
  for (const { slot } of slots.all()) {
    if (wanted.has(slot)) continue;
    if (others === "removed") {
      if (!hasWholeData(`${layersDirectoryOf(root)}/${slot}`)) continue;
      whole.push(slot);
    }
    idle.add(slot);
    wanted.add(slot);
  }
  try {
    // Whoever pulls the image again goes on from there.
    removeLayersBut(root, slots, { wanted, isLeft: isKeptBlob });
  } catch (error) {
    if (!(error instanceof FileError) && !isFullDatabase(error)) throw error;
    log.warn("what a crash left over stays until the next start", {
      error: String(error),
    });
  }
  return () => {
    for (const slot of whole) idle.remove(slot);
  };
}

function bytesBelow(path: string): number {
  const info = Deno.lstatSync(path);
  const own = bytesOnDisk(info);
  if (!info.isDirectory) return own;
  return namesIn(path).reduce(
    (sum, name) => sum + bytesBelow(`${path}/${name}`),
    own,
  );
}
