/**
 * TODO
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
