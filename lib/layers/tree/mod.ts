/**
 * TODO
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
export { TREE_VERSION } from "./format.ts";
export { TreeCompileError } from "./tree_builder.ts";
export { compileTree, type TreeInput } from "./compile.ts";
