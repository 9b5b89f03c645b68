/**
 * Mounts of this machine: made, listed, taken away, in this process or by a helper process.
 *
 * A mount can wait for an answer of our own FUSE Workers. So what may wait runs in the helper or off
 * the main thread; a killed helper leaves at most one mount that nobody has been told of.
 *
 * It may call mount(2) and umount2(2) and read `/proc/self/mountinfo`. It must not know what is
 * mounted.
 * @module
 */
export {
  type FileSystemUse,
  fileSystemUse,
  isMountPoint,
  listMounts,
  mountElsewhere,
  type MountEntry,
  mountFileSystem,
  type MountOptions,
  MS,
  unmount,
  unmountElsewhere,
} from "./mounts.ts";
export { type MountAnswer, MountHelper, serveMounts } from "./helper.ts";
export { mountOverlay, unmountOverlay } from "./overlay.ts";
