import {
  FLAG_INHERITS,
  FLAG_XATTRS,
  HEADER,
  HEADER_BYTES,
  INODE_COLUMNS,
  TREE_MAGIC,
  TREE_VERSION,
  type TreeLayout,
  treeLayout,
} from "./format.ts";
import { crc32 } from "../../formats/crc32/mod.ts";
import { S } from "./modes.ts";

/** The tree file is damaged, foreign or of another version: compile it again from the ztoc. */
export class TreeFormatError extends Error {
  static {
    this.prototype.name = "TreeFormatError";
  }
}

/** The version of a tree file that begins with these bytes; null if it is not a tree file. */
export function treeVersion(start: Uint8Array): number | null {
  if (start.length < 8) return null;
  const view = new DataView(start.buffer, start.byteOffset, 8);
  return view.getUint32(HEADER.magic * 4, true) === TREE_MAGIC
    ? view.getUint32(HEADER.version * 4, true)
    : null;
}

/** An inode of a layer: index into the tree's columns. 0 is the root. */
export type Inode = number;

/** A layer's file tree, as views of one binary (`format.ts`): no object per file, no copy. */
export class LayerTree {
  /** Number of inodes; inode 0 is the root. */
  readonly inodes: number;
  /** Number of names in all directories, without `.` and `..`. */
  readonly dirents: number;
  /** Number of spans of the layer. */
  readonly spans: number;
  /** Whether any inode has extended attributes. */
  readonly hasXattrs: boolean;
  /** Whether any directory below the root takes facts from lower layers. */
  readonly inherits: boolean;
  /** The `TREE_REVISION` it was compiled with. */
  readonly revision: number;
  /** CRC-32 of the content: tells trees apart. */
  readonly checksum: number;
  /** By inode: type and permission bits (`st_mode`). */
  readonly mode: Uint32Array;
  /** By inode: owner. */
  readonly uid: Uint32Array;
  /** By inode: group. */
  readonly gid: Uint32Array;
  /** By inode: number of dirents that name it; for a directory, 2 plus its subdirectories. */
  readonly nlink: Uint32Array;
  /**
   * By inode: a device's 32-bit number as in the kernel (`new_encode_dev`); a directory's
   * `DIRECTORY` value.
   */
  readonly rdev: Uint32Array;
  /** By inode: nanoseconds to add to `mtimeSeconds`, in [0, 10^9). */
  readonly mtimeNanos: Uint32Array;
  /** By inode: a directory's first dirent, or a symlink's target in `names`. */
  readonly first: Uint32Array;
  /** By inode: a directory's number of dirents, or the length of a symlink's target. */
  readonly count: Uint32Array;
  /** By inode: bytes of a regular file or a symlink's target; 4096 for a directory. */
  readonly size: Float64Array;
  /** By inode: where a regular file's bytes start in the data file. */
  readonly dataOffset: Float64Array;
  /** By inode: modification time, whole seconds since 1970; may be negative. */
  readonly mtimeSeconds: Float64Array;
  /** Data offset of each span, then the data's size. */
  readonly spanStarts: Float64Array;
  /** Names, link targets, xattr keys and values. */
  readonly names: Uint8Array;
  /** By dirent: where its name starts in `names`. */
  readonly nameOffset: Uint32Array;
  /** By dirent: length of its name in bytes, 1 to 255. */
  readonly nameLength: Uint32Array;
  /** By dirent: the inode it names. */
  readonly direntInode: Uint32Array;
  readonly #xattrFirst: Uint32Array;
  readonly #xattrKey: Uint32Array;
  readonly #xattrKeyLength: Uint32Array;
  readonly #xattrValue: Uint32Array;
  readonly #xattrValueLength: Uint32Array;

  /**
   * Opens a tree. Keeps `bytes` and does not copy them.
   * @throws TreeFormatError
   */
  constructor(bytes: Uint8Array<ArrayBuffer>) {
    if (bytes.byteOffset % 8 !== 0) throw new TreeFormatError("not aligned");
    if (bytes.length < HEADER_BYTES) throw new TreeFormatError("too short");
    const header = new Uint32Array(bytes.buffer, bytes.byteOffset, 16);
    const word = (at: number) => header[at] as number;
    if (
      word(HEADER.magic) !== TREE_MAGIC ||
      word(HEADER.version) !== TREE_VERSION
    ) throw new TreeFormatError("another format or version");
    this.inodes = word(HEADER.inodes);
    this.dirents = word(HEADER.dirents);
    this.spans = word(HEADER.spans);
    const xattrs = word(HEADER.xattrs);
    const nameBytes = word(HEADER.nameBytes);
    this.revision = word(HEADER.revision);
    this.inherits = (word(HEADER.flags) & FLAG_INHERITS) !== 0;
    this.hasXattrs = (word(HEADER.flags) & FLAG_XATTRS) !== 0;
    const layout: TreeLayout = treeLayout({
      inodes: this.inodes,
      dirents: this.dirents,
      xattrs,
      spans: this.spans,
      nameBytes,
    });
    if (layout.end !== bytes.length || this.inodes === 0) {
      throw new TreeFormatError("wrong length");
    }
    // We wrote the file: the checksum finds torn writes, and the compiler keeps every index in
    // range.
    this.checksum = word(HEADER.checksum);
    if (crc32(bytes.subarray(HEADER_BYTES)) !== this.checksum) {
      throw new TreeFormatError("checksum mismatch");
    }

    const doubles = (at: number, count: number) =>
      new Float64Array(bytes.buffer, bytes.byteOffset + at, count);
    const words = (at: number, count: number) =>
      new Uint32Array(bytes.buffer, bytes.byteOffset + at, count);
    const n = this.inodes;
    this.size = doubles(layout.doubles, n);
    this.dataOffset = doubles(layout.doubles + n * 8, n);
    this.mtimeSeconds = doubles(layout.doubles + n * 16, n);
    this.spanStarts = doubles(layout.spanStarts, this.spans + 1);
    const column = (name: typeof INODE_COLUMNS[number]) =>
      words(layout.columns + INODE_COLUMNS.indexOf(name) * n * 4, n);
    this.mode = column("mode");
    this.uid = column("uid");
    this.gid = column("gid");
    this.nlink = column("nlink");
    this.rdev = column("rdev");
    this.mtimeNanos = column("mtimeNanos");
    this.first = column("first");
    this.count = column("count");
    this.#xattrFirst = words(layout.xattrFirst, n + 1);
    const d = this.dirents;
    this.nameOffset = words(layout.direntColumns, d);
    this.nameLength = words(layout.direntColumns + d * 4, d);
    this.direntInode = words(layout.direntColumns + d * 8, d);
    this.#xattrKey = words(layout.xattrColumns, xattrs);
    this.#xattrKeyLength = words(layout.xattrColumns + xattrs * 4, xattrs);
    this.#xattrValue = words(layout.xattrColumns + xattrs * 8, xattrs);
    this.#xattrValueLength = words(layout.xattrColumns + xattrs * 12, xattrs);
    this.names = bytes.subarray(layout.names);
  }

  /** Whether an inode is a directory. */
  isDirectory(inode: Inode): boolean {
    return ((this.mode[inode] as number) & S.IFMT) === S.IFDIR;
  }

  /** A directory's `DIRECTORY` value: where its facts come from. */
  factsOf(directory: Inode): number {
    return this.rdev[directory] as number;
  }

  /** The child named `buffer[start … end)`, or -1, by binary search. */
  lookup(
    directory: Inode,
    buffer: Uint8Array,
    start: number,
    end: number,
  ): Inode {
    let low = this.first[directory] as number;
    let high = low + (this.count[directory] as number);
    const length = end - start;
    const names = this.names;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const offset = this.nameOffset[middle] as number;
      const nameLength = this.nameLength[middle] as number;
      const shared = nameLength < length ? nameLength : length;
      let order = 0;
      for (let i = 0; i < shared; i++) {
        order = (names[offset + i] as number) - (buffer[start + i] as number);
        if (order !== 0) break;
      }
      if (order === 0) order = nameLength - length;
      if (order === 0) return this.direntInode[middle] as number;
      if (order < 0) low = middle + 1;
      else high = middle;
    }
    return -1;
  }

  /** A symlink's target, as a view. */
  target(inode: Inode): Uint8Array {
    const first = this.first[inode] as number;
    return this.names.subarray(first, first + (this.count[inode] as number));
  }

  /** Number of an inode's extended attributes. */
  xattrCount(inode: Inode): number {
    return (this.#xattrFirst[inode + 1] as number) -
      (this.#xattrFirst[inode] as number);
  }

  /** The name of the inode's `index`-th attribute, as a view. */
  xattrKey(inode: Inode, index: number): Uint8Array {
    const at = (this.#xattrFirst[inode] as number) + index;
    const offset = this.#xattrKey[at] as number;
    return this.names.subarray(
      offset,
      offset + (this.#xattrKeyLength[at] as number),
    );
  }

  /** The value of the inode's `index`-th attribute, as a view. */
  xattrValue(inode: Inode, index: number): Uint8Array {
    const at = (this.#xattrFirst[inode] as number) + index;
    const offset = this.#xattrValue[at] as number;
    return this.names.subarray(
      offset,
      offset + (this.#xattrValueLength[at] as number),
    );
  }

  /** The index of the inode's attribute named `buffer[start … end)`, or -1. */
  findXattr(
    inode: Inode,
    buffer: Uint8Array,
    start: number,
    end: number,
  ): number {
    const first = this.#xattrFirst[inode] as number;
    const last = this.#xattrFirst[inode + 1] as number;
    const length = end - start;
    for (let at = first; at < last; at++) {
      if (this.#xattrKeyLength[at] !== length) continue;
      const offset = this.#xattrKey[at] as number;
      let i = 0;
      while (i < length && this.names[offset + i] === buffer[start + i]) i++;
      if (i === length) return at - first;
    }
    return -1;
  }

  /** Length of the name of the inode's `index`-th attribute, bytes. */
  xattrKeyLength(inode: Inode, index: number): number {
    return this.#xattrKeyLength[
      (this.#xattrFirst[inode] as number) + index
    ] as number;
  }

  /** Length of the value of the inode's `index`-th attribute, bytes. */
  xattrValueLength(inode: Inode, index: number): number {
    return this.#xattrValueLength[
      (this.#xattrFirst[inode] as number) + index
    ] as number;
  }

  /** Copies the name of the inode's `index`-th attribute to `into[at …)`. Returns its length. */
  copyXattrKey(
    inode: Inode,
    index: number,
    into: Uint8Array,
    at: number,
  ): number {
    const row = (this.#xattrFirst[inode] as number) + index;
    return this.#copy(
      this.#xattrKey[row] as number,
      this.#xattrKeyLength[row] as number,
      into,
      at,
    );
  }

  /**
   * Copies the value of the inode's `index`-th attribute to the beginning of `into`. Returns its
   * length.
   */
  copyXattrValue(inode: Inode, index: number, into: Uint8Array): number {
    const row = (this.#xattrFirst[inode] as number) + index;
    return this.#copy(
      this.#xattrValue[row] as number,
      this.#xattrValueLength[row] as number,
      into,
      0,
    );
  }

  /** Copies a symlink's target to the beginning of `into`. Returns its length. */
  copyTarget(inode: Inode, into: Uint8Array): number {
    return this.#copy(
      this.first[inode] as number,
      this.count[inode] as number,
      into,
      0,
    );
  }

  /** Copies byte by byte: a view would allocate an object per request. */
  #copy(
    offset: number,
    length: number,
    into: Uint8Array,
    at: number,
  ): number {
    const names = this.names;
    for (let i = 0; i < length; i++) into[at + i] = names[offset + i] as number;
    return length;
  }
}
