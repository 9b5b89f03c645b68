/**
 * TODO
 * @module
 */
export { ErofsFace, type ShownLayer } from "./erofs.ts";
export { ErofsUnusableError } from "./erofs_probe.ts";
export {
  chooseFace,
  type Face,
  type FaceChoice,
  type FaceWish,
} from "./choose.ts";
