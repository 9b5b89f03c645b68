/**
 * EROFS images of tar archives, made and mounted for the tests, and a reader of the format that
 * shares nothing with the writer.
 * @module
 */
export { onEveryFace } from "./faces.ts";
export {
  erofsRefusal,
  imageOf,
  type MountedErofs,
  mountErofs,
  treeOfTar,
} from "./mount.ts";
export { type ErofsInode, ErofsReader } from "./reader.ts";
