import { FileError, statIfThere } from "../../host/files/mod.ts";
import {
  listMounts,
  unmountBelow,
  uppersOfOverlays,
} from "../../host/mounting/mod.ts";
import { isLockFree } from "../../layers/store/mod.ts";
import type { StateOwner } from "./old_state.ts";

/** What each daemon keeps below a root for itself. Indexes and ztocs stay: both use them. */
const STATE: Readonly<Record<StateOwner, readonly string[]>> = {
  "existing daemon": ["snapshotter", "metadata.db", "metadata", "soci"],
  "soci-deno": [
    ...["snapshotter", "slots.db", "slots.db-wal", "slots.db-shm"],
    ...["slot-mark", "layers", "handover.json", "reserve"],
  ],
};

/** The file that a running daemon holds locked. */
const LOCKS: Readonly<Record<StateOwner, string>> = {
  "existing daemon": "snapshotter/metadata.db", // bbolt locks it
  "soci-deno": "lock",
};

/** Why a root's state cannot be put aside now, with what to do; null when it can. @throws FileError */
export function whyNotYet(root: string, owner: StateOwner): string | null {
  const lock = `${root}/${LOCKS[owner]}`;
  if (statIfThere(lock) !== null && !isLockFree(lock)) {
    return owner === "soci-deno"
      ? `the daemon runs on ${root}: run \`soci-deno stop\` first`
      : `the existing daemon runs on ${root}: stop it first (systemctl stop soci-snapshotter)`;
  }
  const folder = `${root}/snapshotter/snapshots/`;
  const running = uppersOfOverlays()
    .filter((upper) => upper.startsWith(folder)).length;
  if (running > 0) {
    return `${running} containers run on snapshots of ${root}: end them first (drain the node, \`crictl rmp -fa\`, or \`ctr task kill\`)`;
  }
  const left = listMounts()
    .filter(({ mountpoint }) => mountpoint.startsWith(`${root}/`)).length;
  return owner === "soci-deno" && left > 0
    ? `${left} mounts of ${root} are left: run \`soci-deno stop\` first`
    : null;
}

/**
 * Moves a daemon's state into a new folder below the root, after `whyNotYet` had nothing against it. Dead mounts of
 * the existing daemon are taken away.
 * @returns the folder. @throws FileError, OsError
 */
export function putAside(root: string, owner: StateOwner): string {
  if (owner === "existing daemon") unmountBelow(`${root}/snapshotter`);
  const stamp = new Date().toISOString().replaceAll(":", "-");
  const folder = `${root}/put-aside/${stamp}`;
  Deno.mkdirSync(folder, { recursive: true, mode: 0o700 });
  // The table goes last: as long as it is there, the work is not done.
  for (const name of STATE[owner].toReversed()) {
    if (statIfThere(`${root}/${name}`) === null) continue;
    try {
      Deno.renameSync(`${root}/${name}`, `${folder}/${name}`);
    } catch (cause) {
      throw new FileError("rename", `${root}/${name}`, cause);
    }
  }
  return folder;
}
