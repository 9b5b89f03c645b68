import { BLOCK, DIRENT_BYTES, FILE_TYPE } from "./format.ts";
import type { ErofsTree } from "./tree.ts";

const DOT = 0x2e;
const DOTS = new Uint8Array([DOT, DOT]);

/** `file_type` by the four type bits of `st_mode`. */
const TYPE_OF_MODE = new Uint8Array(16);
TYPE_OF_MODE[0o10] = FILE_TYPE.regular;
TYPE_OF_MODE[0o04] = FILE_TYPE.directory;
TYPE_OF_MODE[0o12] = FILE_TYPE.symlink;
TYPE_OF_MODE[0o02] = FILE_TYPE.character;
TYPE_OF_MODE[0o06] = FILE_TYPE.block;
TYPE_OF_MODE[0o01] = FILE_TYPE.fifo;
TYPE_OF_MODE[0o14] = FILE_TYPE.socket;

/**
 * The directories of a tree as the format wants them: blocks that begin with the 12-byte entries and
 * go on with their names, all entries sorted by the bytes of their names, `.` and `..` among them.
 */
export class DirectoryLayout {
  readonly #tree: ErofsTree;
  // Of the directory looked at last.
  #directory = -1;
  #first = 0;
  #entries = 0;
  #dotAt = 0;
  #dotsAt = 0;

  constructor(tree: ErofsTree) {
    this.#tree = tree;
  }

  /** Bytes of a directory: all blocks full but the last, whose used bytes count. */
  bytes(directory: number): number {
    this.#select(directory);
    let bytes = 0;
    for (let entry = 0; entry < this.#entries;) {
      const end = this.#blockEnd(entry);
      if (end === this.#entries) return bytes + this.#usedBytes(entry, end);
      bytes += BLOCK;
      entry = end;
    }
    return bytes;
  }

  /**
   * Writes a directory at `at`.
   * @param nids of all inodes.
   */
  write(
    directory: number,
    parent: number,
    image: { bytes: Uint8Array; words: Uint32Array },
    at: number,
    nids: Uint32Array,
  ): void {
    this.#select(directory);
    const tree = this.#tree;
    for (let entry = 0, block = at; entry < this.#entries; block += BLOCK) {
      const end = this.#blockEnd(entry);
      let word = block / 4;
      let name = (end - entry) * DIRENT_BYTES;
      for (; entry < end; entry++) {
        let inode: number;
        let source: Uint8Array;
        let from: number;
        let length: number;
        if (entry === this.#dotAt || entry === this.#dotsAt) {
          inode = entry === this.#dotAt ? directory : parent;
          source = DOTS;
          from = 0;
          length = entry === this.#dotAt ? 1 : 2;
        } else {
          const dirent = this.#dirent(entry);
          inode = tree.direntInode[dirent] as number;
          source = tree.names;
          from = tree.nameOffset[dirent] as number;
          length = tree.nameLength[dirent] as number;
        }
        const type =
          TYPE_OF_MODE[(tree.mode[inode] as number) >>> 12] as number;
        image.words[word] = nids[inode] as number; // the high half stays 0
        image.words[word + 2] = name | (type << 16);
        word += DIRENT_BYTES / 4;
        const to = block + name;
        for (let i = 0; i < length; i++) {
          image.bytes[to + i] = source[from + i] as number;
        }
        name += length;
      }
    }
  }

  /** Finds where `.` and `..` stand among the names. */
  #select(directory: number): void {
    if (directory === this.#directory) return;
    const tree = this.#tree;
    const count = tree.count[directory] as number;
    this.#directory = directory;
    this.#first = tree.first[directory] as number;
    this.#entries = count + 2;
    let before = 0;
    while (before < count && this.#byte(before, 0) < DOT) before++;
    this.#dotAt = before;
    while (
      before < count && this.#byte(before, 0) === DOT &&
      this.#byte(before, 1) < DOT
    ) before++;
    this.#dotsAt = before + 1;
  }

  /** Byte `at` of the directory's `index`-th name; -1 behind its end. */
  #byte(index: number, at: number): number {
    const tree = this.#tree;
    const dirent = this.#first + index;
    return at < (tree.nameLength[dirent] as number)
      ? tree.names[(tree.nameOffset[dirent] as number) + at] as number
      : -1;
  }

  #dirent(entry: number): number {
    return this.#first + entry - Number(entry > this.#dotAt) -
      Number(entry > this.#dotsAt);
  }

  #nameBytes(entry: number): number {
    if (entry === this.#dotAt) return 1;
    if (entry === this.#dotsAt) return 2;
    return this.#tree.nameLength[this.#dirent(entry)] as number;
  }

  /** The first entry that is not in the block which starts with `entry`. */
  #blockEnd(entry: number): number {
    let used = 0;
    for (; entry < this.#entries; entry++) {
      used += DIRENT_BYTES + this.#nameBytes(entry);
      if (used > BLOCK) break;
    }
    return entry;
  }

  #usedBytes(entry: number, end: number): number {
    let used = 0;
    for (; entry < end; entry++) used += DIRENT_BYTES + this.#nameBytes(entry);
    return used;
  }
}
