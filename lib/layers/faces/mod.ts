/**
 * The two ways to show a layer to the kernel: as a tree that our FUSE Workers answer for (any kernel), or
 * as an EROFS image of the tree (where the kernel can), of which only reads reach us.
 *
 * A kernel is tried once after it has booted, with a made-up image; the outcome is kept. A layer that
 * EROFS cannot hold falls back to the FUSE tree by itself.
 *
 * It may mount and make files in a layer's folder. It must not know where a layer's bytes come from.
 * @module
 */
export {
  ErofsFace,
  type ErofsFaceOptions,
  type FuseDirectory,
  type ShownLayer,
} from "./erofs.ts";
export { MountReadAhead } from "./read_ahead.ts";
export { ErofsUnusableError } from "./erofs_probe.ts";
export {
  chooseFace,
  type Face,
  type FaceChoice,
  type FaceWish,
} from "./choose.ts";
