/**
 * The layer tree file: one compact binary per layer, compiled once from its ztoc and read by every
 * process and Worker that serves the layer. The format is private: no other tool reads it. A file
 * with another version or a wrong checksum is compiled again.
 *
 * Little-endian, sections in this order, each starting on 8 bytes:
 *
 * | section | element | count |
 * |---|---|---|
 * | header | see `HEADER` | 1 |
 * | size, dataOffset, mtimeSeconds | f64 | inodes |
 * | spanStarts | f64 | spans + 1 |
 * | mode, uid, gid, nlink, rdev, mtimeNanos, first, count | u32 | inodes |
 * | xattrFirst | u32 | inodes + 1 |
 * | dirent nameOffset, nameLength, inode | u32 | dirents |
 * | xattr keyOffset, keyLength, valueOffset, valueLength | u32 | xattrs |
 * | names | bytes | header.nameBytes |
 *
 * `first` and `count` are a range: of a directory its dirents (sorted by name bytes), of a symlink
 * the name bytes of its target. Inode 0 is the root. Hard links are several dirents with one inode.
 * `rdev` is a device's number; for a directory it is a `DIRECTORY` value. `spanStarts` are offsets
 * in the data file; the last is its size.
 * @module
 */

export const TREE_MAGIC = 0x54434f53; // "SOCT"
/** The version of the tree file. Increase it when the layout changes. */
export const TREE_VERSION = 1;

/** The largest tree file that is opened. */
export const MAX_TREE_BYTES = 2 ** 31 - 1;

/** Word positions in the header. */
export const HEADER = {
  magic: 0,
  version: 1,
  checksum: 2, // CRC-32 of everything after the header
  inodes: 3,
  dirents: 4,
  xattrs: 5,
  spans: 6,
  nameBytes: 7,
  flags: 8,
  revision: 9,
} as const;

/** Bytes of the header, with room for later words. */
export const HEADER_BYTES = 64;
/** Some entry has an extended attribute (an opaque mark counts). */
export const FLAG_XATTRS = 1;
/** Some directory below the root has another value than `DIRECTORY.own`. */
export const FLAG_INHERITS = 2;

/**
 * Increase it when the same entries compile to another tree in the same format. A tree of another
 * revision is still served in old mounts, because the kernel knows its inode numbers. Otherwise it
 * is compiled again.
 */
export const TREE_REVISION = 2;

/** Where a directory's facts (mode, owner, attributes) come from. */
export const DIRECTORY = {
  /** From its own entry. */
  own: 0,
  /** It has no entry: from the layers below, as in unpacking. */
  implied: 1,
  /** From its entry. But an earlier entry had implied it, so the lower layers' attributes stay. */
  inherits: 2,
} as const;

/** Per-inode u32 columns, in file order. */
export const INODE_COLUMNS = [
  "mode",
  "uid",
  "gid",
  "nlink",
  "rdev",
  "mtimeNanos",
  "first",
  "count",
] as const;

/** Counts that determine where each section is. */
export interface TreeCounts {
  /** Files of every kind, the root included. */
  readonly inodes: number;
  /** Names in directories. */
  readonly dirents: number;
  /** Extended attributes of all inodes. */
  readonly xattrs: number;
  /** Spans of the layer. */
  readonly spans: number;
  /** Bytes of all names, values and link targets. */
  readonly nameBytes: number;
}

/** Byte offset of each section. */
export interface TreeLayout {
  /** The inode columns of 8 bytes an entry. */
  readonly doubles: number;
  /** Where each span starts in the layer's data. */
  readonly spanStarts: number;
  /** The inode columns of 4 bytes an entry. */
  readonly columns: number;
  /** Each inode's first extended attribute. */
  readonly xattrFirst: number;
  /** The columns of the directory entries. */
  readonly direntColumns: number;
  /** The columns of the extended attributes. */
  readonly xattrColumns: number;
  /** The bytes that names and values point into. */
  readonly names: number;
  /** The end of the file. */
  readonly end: number;
}

const align = (offset: number) => Math.ceil(offset / 8) * 8;

/** Computes where each section is. */
export function treeLayout(counts: TreeCounts): TreeLayout {
  const { inodes, dirents, xattrs, spans, nameBytes } = counts;
  const doubles = HEADER_BYTES;
  const spanStarts = doubles + inodes * 8 * 3;
  const columns = spanStarts + (spans + 1) * 8;
  const xattrFirst = align(columns + inodes * 4 * INODE_COLUMNS.length);
  const direntColumns = align(xattrFirst + (inodes + 1) * 4);
  const xattrColumns = align(direntColumns + dirents * 4 * 3);
  const names = align(xattrColumns + xattrs * 4 * 4);
  return {
    doubles,
    spanStarts,
    columns,
    xattrFirst,
    direntColumns,
    xattrColumns,
    names,
    end: names + nameBytes,
  };
}
