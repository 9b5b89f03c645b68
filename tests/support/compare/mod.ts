/**
 * Compares two directory trees completely: names as bytes, types, modes, owners, times, links,
 * devices, extended attributes, contents. Reads trees of any file system of the host.
 * @module
 */
export { readInSteps, type StepsRead } from "./steps.ts";
export { type TreeEntry, treeOf, type TreeOptions } from "./tree.ts";
export {
  type ComparedField,
  compareTrees,
  type Difference,
} from "./compare.ts";
