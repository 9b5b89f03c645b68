/**
 * What is mounted on this machine, and how mounts are made and taken away.
 *
 * If the source of a mount lies on one of our FUSE mounts, the mount call needs answers from this
 * process, and on the main thread it would wait for ever. So there are three ways: `mountFileSystem` for
 * sources where that cannot happen, `mountElsewhere` on another thread of this process, and
 * `MountHelper` in another process, so that a blocked call cannot keep this process from ending.
 *
 * It may touch the kernel's mount table, through `os`. It must not know what is mounted: neither images
 * nor layers, nor what the program that starts the helper is called.
 * @module
 */
export {
  fileSystemUse,
  type IdMaps,
  LOWER_FLAGS,
  mountFileSystem,
  type MountOptions,
  MS,
  unmount,
  unmountElsewhere,
} from "../os/mod.ts";
export {
  abortConnection,
  isFuseDescriptor,
  MOUNT_TYPE,
  mountDevice,
  mountFuse,
  type MountFuseOptions,
} from "./fuse.ts";
export {
  isMountPoint,
  listMounts,
  type MountEntry,
  MountTable,
  unmountBelow,
  uppersOfOverlays,
} from "./mounts.ts";
export { MountHelper } from "./helper.ts";
export { OverlayError, OverlayMount, type OverlayOptions } from "./overlay.ts";
