/**
 * Every lazily served layer as one file system. A layer is a directory named by its *slot*; inside
 * it is the layer's own tree as overlay wants to see it: whiteouts are character devices 0:0, opaque
 * directories carry `trusted.overlay.opaque`.
 *
 * On disk a layer is a folder `<slot>` with
 * - `tree`: its file tree, compiled once from the ztoc (`format.ts`),
 * - `data`: a sparse file of the uncompressed tar, filled span by span.
 *
 * Where the kernel can (`chooseFace`), a layer is an EROFS mount instead: an image of its tree,
 * `<slot>/erofs`, whose data is the layer's *blob*, a file on our FUSE mount. Then only reads reach
 * us (`erofs_face.ts`).
 *
 * `compileTree` makes the first; `LayerFileSystem` shows the layers and asks each `ServedLayer` for
 * the bytes it lacks. What the isolates share in memory is told in `shared.ts`.
 * @module
 */

export {
  LayerFileSystem,
  type LayerFileSystemOptions,
  type LayerMarks,
  type ServedLayer,
} from "./service.ts";
export { MOUNT_NAMES } from "./mounts.ts";
export type { ServedMount } from "./fuse_mount.ts";
export {
  PresenceArena,
  ReadersAtWork,
  RequestRing,
  RingItem,
  SlotTable,
  SpanStarts,
} from "./shared.ts";
