/**
 * A layer's file tree, compiled once from its ztoc into one compact binary: columns in typed arrays
 * instead of an object per file. Both faces show it.
 *
 * A tree file is private to this program. It has a version and a checksum; a file that fails either
 * check is a `TreeFormatError` and is made again from the ztoc.
 *
 * It reads and maps a tree file through `lib/host/os`. It must not know the kernel's protocol, nor which
 * of a layer's bytes are cached.
 * @module
 */
export { blobBytes, BLOBS_DIRECTORY, dataBytes } from "./blob.ts";
export {
  type Inode,
  LayerTree,
  treeFileVersion,
  TreeFormatError,
} from "./tree.ts";
export { S } from "./modes.ts";
export { MAX_TREE_BYTES, TREE_VERSION } from "./format.ts";
export { TreeCompileError } from "./tree_builder.ts";
export { compileTree, type TreeInput } from "./compile.ts";
