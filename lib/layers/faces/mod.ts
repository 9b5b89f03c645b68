/**
 * The two ways to show a layer to the kernel: as a tree that our FUSE Workers serve (any kernel), or as
 * an EROFS image of the tree (if the kernel supports it), so that only reads reach us.
 *
 * The kernel is tested once per boot, with a small test image, and the result is kept. A single layer
 * that EROFS cannot represent falls back to the FUSE tree.
 *
 * It may mount and make files in a layer's folder. It must not know where a layer's bytes come from.
 * @module
 */
export { ExactReads } from "./exact_reads.ts";
export {
  ErofsFace,
  type ErofsFaceOptions,
  type FuseDirectory,
  type LayerDevice,
  type LayerImage,
  makeImage,
  type ShownLayer,
} from "./erofs.ts";
export { MountReadAhead } from "./read_ahead.ts";
export { startProbeServer } from "./start.ts";
export { ErofsUnusableError } from "./erofs_probe.ts";
export {
  chooseFace,
  type Face,
  type FaceChoice,
  type FaceWish,
} from "./choose.ts";
