/**
 * How a process starts to serve the layers of a root: the lock, the slots, the mounts (the last
 * process's, or new ones), the face. Also how to remove what a process left behind.
 * @module
 */
import type { MountKeeper } from "../../host/handover/mod.ts";
import { countEvent, logger } from "../../telemetry/mod.ts";
import { chooseFace, type FaceChoice, type FaceWish } from "../faces/mod.ts";
import { LayerFileSystem, type ServedMount } from "../fs/mod.ts";
import {
  DiskReserve,
  openSlotTable,
  SlotTableStore,
  StateVersionError,
  takeLock,
} from "../store/mod.ts";
import { detachBelow, foreignTree, takeMounts } from "./last_process.ts";

const log = logger("images");

/** Where layers are stored and mounted. */
export interface StartOptions {
  /** Durable state: slots and layer caches. */
  readonly root: string;
  /**
   * An empty folder for the FUSE mounts. Keep its path short, because overlay options are bounded.
   */
  readonly mountDirectory: string;
  /** How layers are shown. Default: `auto`. */
  readonly face?: FaceWish;
  /**
   * The command line of the process that makes EROFS mounts; see `MountHelper`. Default: a thread
   * makes them.
   */
  readonly mountHelper?: readonly string[];
  /** Whether the log tells of every request of the kernel, with paths. Default: it does not. */
  readonly tellsRequests?: boolean;
  /** Lets the mounts outlive this process, and takes over the last process's. Default: neither. */
  readonly keeper?: MountKeeper;
  /** Mounts that this process itself has left and not lost: they are served again. The keeper is not asked. */
  readonly mounts?: readonly ServedMount[] | undefined;
  /**
   * What to do about mounts that cannot be taken over. Default `replace`: mount anew. `refuse`: fail, as
   * their last process goes on with them then.
   */
  readonly lostMounts?: "replace" | "refuse";
}

/** What a serving process owns. Its mounts answer no requests yet. */
export interface Started {
  /** The lock of the root; closing it releases the root. */
  readonly lock: Deno.FsFile;
  readonly slots: SlotTableStore;
  readonly files: LayerFileSystem;
  /** Whether the mounts are new or taken over from the last process. */
  readonly mounts: "new" | "taken";
  /** How layers are shown, and why. */
  readonly face: FaceChoice;
}

/** The folder below a root that holds the layers' folders. */
export function layersDirectoryOf(root: string): string {
  return `${root}/layers`;
}

/**
 * Locks the root. Takes over the last process's mounts if there is a keeper and they can be taken,
 * else makes new ones.
 * @throws RootInUseError, StateVersionError, ErofsUnusableError, OsError; TakeoverError if the mounts are
 * lost and `lostMounts` is `refuse`
 */
export async function start(options: StartOptions): Promise<Started> {
  const { root, mountDirectory } = options;
  const layersDirectory = layersDirectoryOf(root);
  Deno.mkdirSync(layersDirectory, { recursive: true, mode: 0o700 });
  using stack = new DisposableStack();
  const lock = stack.use(takeLock(`${root}/lock`));
  new DiskReserve(root).prepare();
  const slots = stack.use(openSlotTable({
    root,
    layersDirectory,
    handedOver: options.keeper?.slotMark() ?? null,
  }));
  const taken = options.mounts ?? takeMounts(options, slots);
  // Mounts of a dead process that nobody takes over stay dead.
  if (taken === null) detachBelow(mountDirectory);
  Deno.mkdirSync(mountDirectory, { recursive: true, mode: 0o700 });
  const face = await chooseFace(options.face ?? "auto", {
    mountDirectory,
    testedFile: `${root}/erofs-tested`,
    mountHelper: options.mountHelper ?? null,
  });
  log.info("layers are shown", { ...face });
  const files = await LayerFileSystem.open({
    layersDirectory,
    mountDirectory,
    face: face.face,
    tellsRequests: options.tellsRequests,
    ...(options.mountHelper !== undefined &&
      { mountHelper: options.mountHelper }),
    onFallback: (slot, reason) =>
      log.warn("layer is shown by FUSE", { slot, reason }),
    onReadError: (slot, offset, error) => {
      countEvent("failed", "read");
      log.error("read failed", { slot, offset, error: String(error) });
    },
    onFault: (mountpoint, detail) =>
      log.error("fault while serving a mount", { mountpoint, detail }),
    ...(taken !== null && { taken }),
  });
  stack.move();
  return { lock, slots, files, face, mounts: taken === null ? "new" : "taken" };
}

/**
 * Removes the mounts of a process that has no successor. Waiting readers get an error. Caches stay.
 * @throws RootInUseError if a process serves this root.
 */
export function abandonMounts(
  { root, mountDirectory, keeper }:
    & Pick<StartOptions, "root" | "mountDirectory">
    & { readonly keeper: MountKeeper },
): void {
  using _lock = takeLock(`${root}/lock`);
  keeper.release();
  detachBelow(mountDirectory);
}

/**
 * Checks that this release understands the layers below `root`. Changes nothing, because another
 * process may be using them.
 * @throws StateVersionError
 */
export function assertLayersUnderstood(root: string): void {
  const path = `${root}/slots.db`;
  if (!SlotTableStore.exists(path)) return;
  using slots = new SlotTableStore(path, { access: "read" });
  const foreign = foreignTree(root, slots);
  if (foreign !== null) {
    throw new StateVersionError(layersDirectoryOf(root), foreign);
  }
}
