/**
 * What is mounted on this machine, and how mounts are made and taken away.
 *
 * A mount call may need answers of this very process, when its source lies on one of our FUSE mounts: on
 * the calling thread it would wait for ever. So there are three ways: `mountFileSystem` where that cannot
 * be, `mountElsewhere` on a thread of this process, and `MountHelper` in another process, where the call
 * cannot keep this one from ending.
 *
 * It may touch the kernel's mount table, through `os`. It must not know what is mounted: neither images
 * nor layers, nor what the program that starts the helper is called.
 * @module
 */
export {
  fileSystemUse,
  LOWER_FLAGS,
  mountFileSystem,
  type MountOptions,
  MS,
  unmount,
  unmountElsewhere,
} from "../os/mod.ts";
export { isMountPoint, listMounts, type MountEntry } from "./mounts.ts";
export { type MountAnswer, MountHelper, serveMounts } from "./helper.ts";
export { OverlayError, OverlayMount, type OverlayOptions } from "./overlay.ts";
