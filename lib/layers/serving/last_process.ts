/**
 * Mounts that the last process left: takes them over, or unmounts them.
 * @module
 */
import {
  abortConnection,
  listMounts,
  unmount,
} from "../../host/mounting/mod.ts";
import { type MountKeeper, TakeoverError } from "../../host/handover/mod.ts";
import { MOUNT_NAMES, type ServedMount } from "../fs/mod.ts";
import { TREE_VERSION } from "../tree/mod.ts";
import { closeFd, OsError } from "../../host/os/mod.ts";
import { logger, noteStateDamage } from "../../telemetry/mod.ts";
import { type SlotTableStore, treeFileVersion } from "../store/mod.ts";

const log = logger("images");

/**
 * Takes over the last process's mounts; null if that is not possible, and then they are gone.
 * @throws TakeoverError if it is not possible and `lostMounts` is `refuse`
 */
export function takeMounts(
  { keeper, root, lostMounts }: {
    readonly keeper?: MountKeeper | undefined;
    readonly root: string;
    readonly lostMounts?: "replace" | "refuse";
  },
  slots: SlotTableStore,
): readonly ServedMount[] | null {
  if (keeper === undefined) return null;
  const lose = (why: string) => {
    if (lostMounts === "refuse") {
      throw new TakeoverError(
        `the mounts of the running daemon cannot be taken over: ${why}`,
      );
    }
    log.warn("mounts cannot be taken over, mounting anew", { why });
  };
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
    lose(foreign);
  } else if (result.kind === "lost") {
    noteStateDamage({
      path: `${root}/handover.json`,
      found: result.why,
      then: "mounted anew: containers that ran must be started again",
    });
    lose(result.why);
  }
  keeper.release();
  return null;
}

/**
 * Finds a layer whose tree has another version. Such a tree is compiled again, and its inodes get
 * other numbers. New mounts work with them. But in an old mount the kernel still uses the old
 * numbers, so it would read wrong files.
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

/** Detaches every mount below a folder, newest first. Waiting readers get an error. */
export function detachBelow(folder: string): void {
  const stale = listMounts().map(({ mountpoint }) => mountpoint)
    .filter((mountpoint) => mountpoint.startsWith(`${folder}/`)).reverse();
  for (const mountpoint of stale) {
    abortConnection(mountpoint); // another process may hold its descriptor
    try {
      unmount(mountpoint);
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      log.warn("stale mount stays", { mountpoint, error: error.message });
    }
  }
}
