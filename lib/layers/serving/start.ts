/**
 * How a process comes to serve the layers of a root: the lock, the slots, the mounts (those of the
 * last process, or new ones), the face; and how what a process left is taken away for good.
 * @module
 */
import type { MountKeeper } from "../../host/handover/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import { chooseFace, type FaceChoice, type FaceWish } from "../faces/mod.ts";
import { LayerFileSystem } from "../fs/mod.ts";
import {
  DiskReserve,
  openSlotTable,
  SlotTableStore,
  StateVersionError,
  takeLock,
} from "../store/mod.ts";
import { detachBelow, foreignTree, takeMounts } from "./last_process.ts";

const log = logger("images");

/** Where layers are kept and shown. */
export interface StartOptions {
  /** Durable state: slots and layer caches. */
  readonly root: string;
  /** Empty folder for the FUSE mounts; short, because overlay options are bounded. */
  readonly mountDirectory: string;
  /** How layers are shown; `auto` when not said. */
  readonly face?: FaceWish;
  /** Starts the process that makes EROFS mounts, see `MountHelper`; a thread makes them when not said. */
  readonly mountHelper?: readonly string[];
  /** Lets the mounts outlive this process, and takes those of the last one. Default: neither. */
  readonly keeper?: MountKeeper;
}

/** What a process owns that serves layers. Its mounts answer nothing yet. */
export interface Started {
  /** Of the root; closing it gives the root back. */
  readonly lock: Deno.FsFile;
  readonly slots: SlotTableStore;
  readonly files: LayerFileSystem;
  /** Whether the mounts are those of the last process. */
  readonly mounts: "new" | "taken";
  /** How layers are shown, and why so. */
  readonly face: FaceChoice;
}

/** Folder of the layers' folders below a root. */
export function layersDirectoryOf(root: string): string {
  return `${root}/layers`;
}

/**
 * Takes the root, and the last process's mounts when there is a keeper and they can be taken, else
 * mounts anew.
 * @throws RootInUseError, StateVersionError, ErofsUnusableError, OsError
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
  const taken = takeMounts(options, slots);
  // Mounts of a process that died are dead for good when nobody answers them.
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
    ...(options.mountHelper !== undefined &&
      { mountHelper: options.mountHelper }),
    onFallback: (slot, reason) =>
      log.warn("layer is shown by FUSE", { slot, reason }),
    onReadError: (slot, offset, error) =>
      log.error("read failed", { slot, offset, error: String(error) }),
    onFault: (mountpoint, detail) =>
      log.error("fault while serving a mount", { mountpoint, detail }),
    ...(taken !== null && { taken }),
  });
  stack.move();
  return { lock, slots, files, face, mounts: taken === null ? "new" : "taken" };
}

/**
 * Takes away what a process left that nobody will succeed: whoever waits on its mounts gets an
 * error. Caches stay.
 * @throws RootInUseError when a process serves that root.
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
 * Looks whether this release understands the layers below `root`, without changing them; another
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
