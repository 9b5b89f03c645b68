/**
 * A layer's file tree, compiled once from its ztoc into one compact binary: typed arrays instead of
 * an object per file. Both faces show it.
 *
 * A tree file is private to this program. It has a version and a checksum. A file that fails either
 * check gives a `TreeFormatError` and is compiled again from the ztoc.
 *
 * Bytes in, bytes out, no I/O. It must not know the kernel's protocol, nor which of a layer's bytes
 * are cached.
 * @module
 */
export { blobBytes, BLOBS_DIRECTORY, dataBytes } from "./blob.ts";
export { type Inode, LayerTree, TreeFormatError, treeVersion } from "./tree.ts";
export { S } from "./modes.ts";
export {
  DIRECTORY,
  MAX_TREE_BYTES,
  TREE_REVISION,
  TREE_VERSION,
} from "./format.ts";
export { TreeCompileError } from "./entry_path.ts";
export { assertTree, compileTree, type TreeInput } from "./compile.ts";
export { findPath } from "./find_path.ts";
export {
  type ChainBelow,
  chainDirectories,
  type ChainDirectory,
  ChainTooLargeError,
  type DirectoryFacts,
  factsAt,
  type LowerDirectories,
  mayInherit,
} from "./chain_directories.ts";
export { decodeChain, encodeChain } from "./chain_record.ts";
export { TreeLower } from "./tree_lower.ts";
export { type ReadLink, rootPathOf } from "./root_path.ts";
