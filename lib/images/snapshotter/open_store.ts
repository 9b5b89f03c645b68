/**
 * How the table of snapshots is opened by the process that owns it: what is lost of it is told, and nothing that
 * containers may be using is taken for a leftover.
 * @module
 */
import {
  type DatabaseMark,
  namesIn,
  readMark,
  type SpareRoom,
} from "../../host/files/mod.ts";
import { tellStateDamage } from "../../telemetry/mod.ts";
import type { SnapshotFolders } from "./folders.ts";
import {
  type DroppedSnapshot,
  MARK_FILE,
  type SnapshotDatabase,
} from "./snapshot_database.ts";
import { SnapshotStore } from "./store.ts";

/** So many images are named. */
const MAX_NAMED = 10;

/** A table of snapshots, and whether some of what it knew is lost. */
export interface OpenedStore {
  readonly store: SnapshotStore;
  /** Snapshots, and layers that they used, may be in use although no row names them. */
  readonly rows: "whole" | "lost";
}

/**
 * Opens the table in `folder`. One that cannot be read is put aside. If rows are lost, that is told with the commands
 * that clear containerd's records of them, and no number of a snapshot is given again.
 * @throws SnapshotterSetupError; SQLite's errors
 */
export function openSnapshotStore(
  folder: string,
  folders: SnapshotFolders,
  spare: SpareRoom | undefined,
): OpenedStore {
  const path = `${folder}/metadata.db`;
  const markPath = `${folder}/${MARK_FILE}`;
  const store = new SnapshotStore(path, {
    markPath,
    ...(spare !== undefined && { spare }),
  });
  try {
    const found = readMark(markPath);
    if (
      found === "damaged" ||
      (found === null && store.file.state.origin === "kept")
    ) {
      tellStateDamage({
        path: markPath,
        found: found === null ? "it is missing" : "its checksum is another one",
        then: "it is written again from metadata.db",
      });
    }
    const mark = found === "damaged" ? null : found;
    const numbers = namesIn(`${folder}/snapshots`)
      .map((name) => Number(/^(?:rm-)?([1-9][0-9]*)/.exec(name)?.[1] ?? 0));
    const wrong = whatIsWrong(store.file, mark, numbers.length);
    if (wrong !== null) {
      store.file.startAbove(Math.max(mark?.highest ?? 0, ...numbers));
      folders.keepWithout(store.ids());
      tellStateDamage({
        path,
        found: wrong,
        then: remedy(store.file.dropped),
      });
    }
    store.file.mark();
    return { store, rows: wrong === null ? "whole" : "lost" };
  } catch (error) {
    store[Symbol.dispose]();
    throw error;
  }
}

function whatIsWrong(
  { state, dropped: snapshots }: SnapshotDatabase,
  mark: DatabaseMark | null,
  folders: number,
): string | null {
  const { origin, aside, dropped, generation, changes } = state;
  if (aside !== null) {
    return `it cannot be read (${aside}), and is kept as metadata.db.damaged`;
  }
  if (origin === "made") {
    return mark !== null || folders > 0 ? "it is lost: there was one" : null;
  }
  if (dropped.length > 0) {
    return `${dropped.length} entries of it were changed and are taken out, ${snapshots.length} of them snapshots`;
  }
  if (mark === null || origin === "adopted") return null;
  if (mark.generation !== generation) {
    return "it is another one than the one that was in use";
  }
  const missing = (mark.changes ?? 0) - changes;
  return missing > 0 ? `its last ${missing} changes are lost` : null;
}

/** How containerd is told that snapshots are gone. It lists none of them, and its records of them go with their image. */
function remedy(dropped: readonly DroppedSnapshot[]): string {
  const images = new Map<string, string>();
  for (const { name, image } of dropped) {
    if (image === null) continue;
    // containerd's key of a snapshot is `namespace/number/key`.
    const [namespace = "NAMESPACE"] = name.split("/");
    images.set(`${namespace} ${image}`, removal(namespace, image));
  }
  const named = [...images.values()].slice(0, MAX_NAMED);
  const commands = named.length > 0
    ? named.join(", ")
    : `${removal("NAMESPACE", "IMAGE")} for each image of this snapshotter`;
  return `containerd still knows the snapshots that are gone: remove the containers that use them, clear its records with ${commands}, and pull the images again. Files and caches of what is gone stay until the machine is restarted`;
}

const removal = (namespace: string, image: string) =>
  `\`ctr -n ${namespace} images rm --sync ${image}\``;
