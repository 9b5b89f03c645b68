/**
 * bbolt databases, to read: the format in which containerd and its snapshotters keep what they know.
 *
 * A file is a list of pages. Pages 0 and 1 are *meta pages*, each with a checksum; the valid one with the higher
 * transaction number says where the root bucket is. A bucket is a B+ tree of branch and leaf pages; the entries of
 * leaves are key and value, or key and another bucket. A small bucket lies in its parent's value. Numbers are in the
 * byte order of the machine that wrote the file, which is little-endian on all that are supported.
 *
 * This room writes nothing and believes nothing: each offset, count and depth is checked.
 * @module
 */
export {
  type BoltBucket,
  type BoltEntry,
  BoltError,
  boltRoot,
  isBolt,
} from "./bolt.ts";
