import {
  isDamagedDatabase,
  namesIn,
  removeIfThere,
} from "../../host/files/mod.ts";
import { DiskReserve } from "../../layers/store/mod.ts";
import { tellStateDamage } from "../../telemetry/mod.ts";
import { SnapshotStore } from "./store.ts";

/** What containerd still believes, and how it is told otherwise. */
const ORPHANS =
  "containerd's snapshots of this snapshotter name nothing any more: list them with `ctr -n NAMESPACE snapshots --snapshotter NAME ls`, remove their containers and images, and them with `ctr -n NAMESPACE snapshots --snapshotter NAME rm KEY`, then pull again";

/**
 * Opens the table of snapshots in `folder`. One that cannot be read is put aside; where there was one and is none the
 * loss is told of, and the numbers of folders that are there are not given again: containers may run on them.
 * @throws SnapshotterSetupError; SQLite's errors
 */
export function openSnapshotStore(
  root: string,
  folder: string,
): SnapshotStore {
  const path = `${folder}/metadata.db`;
  const reserve = new DiskReserve(root);
  const options = { giveRoom: () => reserve.giveUp() };
  let store: SnapshotStore;
  let found = "it is lost: there was one";
  try {
    store = new SnapshotStore(path, options);
  } catch (error) {
    if (!isDamagedDatabase(error)) throw error;
    found = `it is damaged (${
      error instanceof Error ? error.message : error
    }), and kept as ${path}.damaged`;
    Deno.renameSync(path, `${path}.damaged`);
    removeIfThere(`${path}-wal`);
    removeIfThere(`${path}-shm`);
    store = new SnapshotStore(path, options);
  }
  if (!store.isNew) return store;
  const numbers = namesIn(`${folder}/snapshots`)
    .map((name) => Number(/^(?:rm-)?([1-9][0-9]*)/.exec(name)?.[1] ?? 0));
  const layers = namesIn(`${root}/layers`).length;
  if (numbers.length > 0 || layers > 0) {
    store.startAbove(Math.max(0, ...numbers));
    tellStateDamage({ path, found, then: ORPHANS });
  }
  return store;
}
