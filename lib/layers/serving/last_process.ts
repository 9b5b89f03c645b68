/**
 * What the last process of a store left: mounts to take over, or to unmount.
 * @module
 */
import { abortConnection } from "../../host/fuse/mod.ts";
import type { MountKeeper } from "../../host/handover/mod.ts";
import { MOUNT_NAMES, type ServedMount } from "../fs/mod.ts";
import { TREE_VERSION } from "../tree/mod.ts";
import { closeFd, OsError } from "../../host/os/mod.ts";
import { listMounts, unmount } from "../../host/mounting/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import { type SlotTableStore, treeFileVersion } from "../store/mod.ts";

const log = logger("images");

/** The last process's mounts; null if none can be taken over. */
export function takeMounts(
  { keeper, root }: {
    readonly keeper?: MountKeeper | undefined;
    readonly root: string;
  },
  slots: SlotTableStore,
): readonly ServedMount[] | null {
  if (keeper === undefined) return null;
  const result = keeper.take(MOUNT_NAMES);
  if (result.kind === "taken") {
    const foreign = foreignTree(root, slots);
    if (foreign === null) {
      log.info("mounts taken over", {
        mounts: result.mounts.map(({ mountpoint }) => mountpoint),
      });
      return result.mounts;
    }
    for (const { fd } of result.mounts) closeFd(fd);
    log.warn("mounts cannot be taken over, mounting anew", { why: foreign });
  } else if (result.kind === "lost") {
    log.warn("mounts cannot be taken over, mounting anew", { why: result.why });
  }
  keeper.release();
  return null;
}

/**
 * The kernel knows files by their numbers in trees of this version. A tree of another version would
 * be made again with other numbers: fine for new mounts, wrong files in old ones.
 */
export function foreignTree(
  root: string,
  slots: SlotTableStore,
): string | null {
  for (const { slot } of slots.all()) {
    const version = treeFileVersion(`${root}/layers/${slot}/tree`);
    if (version !== null && version !== TREE_VERSION) {
      return `the tree of slot ${slot} has version ${version}, this release knows ${TREE_VERSION}`;
    }
  }
  return null;
}

/** Detaches every mount in a folder, the newest first; waiting readers get an error. */
export function detachBelow(folder: string): void {
  const stale = listMounts().map(({ mountpoint }) => mountpoint)
    .filter((mountpoint) => mountpoint.startsWith(`${folder}/`)).reverse();
  for (const mountpoint of stale) {
    abortConnection(mountpoint); // others may hold its descriptor
    try {
      unmount(mountpoint);
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      log.warn("stale mount stays", { mountpoint, error: error.message });
    }
  }
}
