/**
 * EROFS images that hold a file tree and none of its bytes: what the kernel needs to answer lookup,
 * stat, readdir, readlink and getxattr by itself. File data stays where it is, on one *blob* (the
 * uncompressed tar) that is given to the kernel as the image's extra device.
 *
 * The on-disk format is the kernel's (fs/erofs/erofs_fs.h), with the choices of `format.ts`: blocks
 * of 512 bytes, because file data in a tar starts at any multiple of 512; extended inodes; inline
 * attributes. Anything a tree can hold and EROFS cannot is an `ErofsUnsupportedError`: the caller
 * then shows the tree in another way.
 *
 * An image names the tree it was made from and has checksums, so that one found on disk can be used
 * again: see `isErofsImageOf`.
 * @module
 */
export { BLOCK } from "./format.ts";
export { S } from "./modes.ts";
export { isErofsImageOf } from "./superblock.ts";
export type { ErofsSource, ErofsTree } from "./tree.ts";
export {
  ErofsUnsupportedError,
  MAX_IMAGE_BYTES,
  writeErofsImage,
} from "./writer.ts";
