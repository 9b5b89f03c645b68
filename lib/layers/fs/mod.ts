/**
 * Every lazily served layer as one file system. A layer is a directory named by its *slot*; inside it is
 * the layer's own tree in the form that overlayfs expects: whiteouts are character devices 0:0, opaque
 * directories carry `trusted.overlay.opaque`.
 *
 * On disk a layer is a folder `<slot>` with
 * - `tree`: its file tree, compiled once from the ztoc (the room `tree`),
 * - `data`: a sparse file of the uncompressed tar, filled span by span.
 *
 * If the kernel supports it, a layer is an EROFS mount instead (the room `faces`): an image of its tree,
 * `<slot>/erofs`, whose data is the layer's *blob*, a file on our FUSE mount. Then only reads reach us.
 *
 * `LayerFileSystem` shows layers and asks each `ServedLayer` for missing bytes. Below it:
 * - `FuseMounts`, `FuseMount` and `MountWorker` are the mounts and the Workers that answer on them, who
 *   find what they need in a layer's folder and in `shared/mod.ts`;
 * - a `LayerHandler` in each Worker answers the kernel;
 * - `DeferredReads` holds reads whose bytes were missing: they wait in the main isolate.
 *
 * It may touch the kernel's FUSE device and mounts, and files of layers. It must not know where a
 * layer's bytes come from, nor what images are.
 * @module
 */
export {
  LayerFileSystem,
  type LayerFileSystemOptions,
  type LayerMarks,
  type LayerRangeTable,
  type ServedLayer,
  type ShownTree,
} from "./service.ts";
export type { ReadRecording, RecordOptions } from "./read_recorder.ts";
export { MOUNT_NAMES } from "./mounts.ts";
export { startFuseServer } from "./start.ts";
export type { ServedMount } from "./fuse_mount.ts";
