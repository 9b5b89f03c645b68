/**
 * A layer's file tree, compiled once from its ztoc into one compact binary: typed arrays instead of
 * an object per file. Both faces show it. `layers/compiler` makes it; this room reads it, and holds
 * what both must agree on: the format, and how paths and links are followed.
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
export { encodeDevice, S } from "./modes.ts";
export {
  DIRECTORY,
  FLAG_INHERITS,
  FLAG_XATTRS,
  HEADER,
  HEADER_BYTES,
  INODE_COLUMNS,
  MAX_TREE_BYTES,
  TREE_MAGIC,
  TREE_REVISION,
  TREE_VERSION,
  type TreeCounts,
  type TreeLayout,
  treeLayout,
} from "./format.ts";
export {
  bytesOf,
  checkName,
  components,
  isDots,
  lastComponent,
  latin1,
  MAX_NAME_BYTES,
  sameStart,
  SLASH,
  startsWith,
  TreeCompileError,
  trimmedEnd,
} from "./entry_path.ts";
export { ACCESS_ACL, accessAcl, DEFAULT_ACL, defaultAcl } from "./acl.ts";
export { type TreeFacts, treeFacts } from "./facts.ts";
export { findPath } from "./find_path.ts";
export {
  type ChainBelow,
  chainDirectories,
  type ChainDirectory,
  ChainTooLargeError,
  type DirectoryFacts,
  type LowerDirectories,
  type LowerDirectory,
} from "./chain_directories.ts";
export { decodeChain, encodeChain } from "./chain_record.ts";
export { TreeLower } from "./tree_lower.ts";
export {
  cleanPath,
  type ReadLink,
  rootPath,
  rootPathOf,
  TooManyLinksError,
} from "./root_path.ts";
