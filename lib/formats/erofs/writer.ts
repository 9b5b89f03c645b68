import { DirectoryLayout } from "./directory.ts";
import {
  BLOB_DEVICE,
  BLOCK,
  BLOCK_BITS,
  CHUNK_INDEX_BYTES,
  CHUNK_INDEXES,
  FORMAT_CHUNKED,
  FORMAT_INLINE,
  FORMAT_PLAIN,
  INODE_BYTES,
  INODES_AT,
  MAX_CHUNK_BLOCK_BITS,
  NID_BYTES,
  XATTR_HEADER_BYTES,
} from "./format.ts";
import { S } from "./modes.ts";
import { writeSuperblock } from "./superblock.ts";
import type { ErofsSource, ErofsTree } from "./tree.ts";
import { writeXattrs, xattrBytes } from "./xattrs.ts";

/** The tree, or how its data lies on the blob, cannot be said in EROFS. */
export class ErofsUnsupportedError extends Error {
  static {
    this.prototype.name = "ErofsUnsupportedError";
  }
  /** The message begins with the inode. @param inode the first one concerned; -1 for the whole. */
  constructor(readonly inode: number, detail: string) {
    super(inode < 0 ? detail : `inode ${inode}: ${detail}`);
  }
}

/** What one `Uint8Array` and the trees that `lib/layers` opens may have. */
export const MAX_IMAGE_BYTES = 2 ** 31;
/** Block addresses are 32 bits; the last one means "no block". */
const MAX_BLOCKS = 2 ** 32 - 1;
const CHUNK_BYTES = 2 ** (BLOCK_BITS + MAX_CHUNK_BLOCK_BITS);
const CHUNK_FORMAT = CHUNK_INDEXES | MAX_CHUNK_BLOCK_BITS;
const TWO_32 = 2 ** 32;
const HOST_IS_LITTLE_ENDIAN = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;

/** Where everything goes. */
interface Plan {
  readonly nids: Uint32Array;
  /** Bytes of directories and link targets behind their inode or in blocks; see `block`. */
  readonly bodyBytes: Uint32Array;
  /** First block of a body that does not follow its inode; 0 when it does, or there is none. */
  readonly block: Uint32Array;
  readonly xattrBytes: Uint32Array;
  readonly imageBytes: number;
}

/**
 * Makes the image of a tree.
 * @throws ErofsUnsupportedError
 */
export function writeErofsImage(
  tree: ErofsTree,
  source: ErofsSource,
): Uint8Array<ArrayBuffer> {
  if (!HOST_IS_LITTLE_ENDIAN) {
    throw new ErofsUnsupportedError(-1, "this machine is big-endian");
  }
  const directories = new DirectoryLayout(tree);
  const plan = layOut(tree, directories);
  if (source.blobBytes % BLOCK !== 0) {
    throw new RangeError(`the blob has ${source.blobBytes} bytes`);
  }
  if ((plan.imageBytes + source.blobBytes) / BLOCK > MAX_BLOCKS) {
    throw new ErofsUnsupportedError(-1, `${source.blobBytes} bytes of data`);
  }
  const bytes = new Uint8Array(plan.imageBytes);
  const image = { bytes, words: new Uint32Array(bytes.buffer) };
  const parents = parentsOf(tree);
  for (let inode = 0; inode < tree.inodes; inode++) {
    const at = (plan.nids[inode] as number) * NID_BYTES;
    const type = (tree.mode[inode] as number) & S.IFMT;
    const bodyBytes = plan.bodyBytes[inode] as number;
    const block = plan.block[inode] as number;
    const inline = bodyBytes > 0 && block === 0;
    const xattrs = plan.xattrBytes[inode] as number;
    let format = inline ? FORMAT_INLINE : FORMAT_PLAIN;
    let size = bodyBytes;
    let location = block;
    if (type === S.IFREG) {
      size = tree.size[inode] as number;
      if (size > 0) {
        format = FORMAT_CHUNKED;
        location = CHUNK_FORMAT;
        const chunksAt = (at + chunksBehind(xattrs)) / 4;
        writeChunks(tree, inode, image.words, chunksAt, source.blobBytes);
      }
    } else if (type !== S.IFDIR && type !== S.IFLNK) {
      location = tree.rdev[inode] as number;
    }
    writeInode(tree, inode, image.words, at / 4, {
      format,
      xattrCount: xattrs === 0 ? 0 : 1 + (xattrs - XATTR_HEADER_BYTES) / 4,
      size,
      location,
    });
    if (xattrs > 0) writeXattrs(tree, inode, bytes, at + INODE_BYTES);
    if (bodyBytes === 0) continue;
    const bodyAt = inline ? at + INODE_BYTES + xattrs : block * BLOCK;
    if (type === S.IFLNK) bytes.set(tree.target(inode), bodyAt);
    else {
      const parent = parents[inode] as number;
      directories.write(inode, parent, image, bodyAt, plan.nids);
    }
  }
  writeSuperblock(bytes, { ...source, inodes: tree.inodes });
  return bytes;
}

function layOut(tree: ErofsTree, directories: DirectoryLayout): Plan {
  const count = tree.inodes;
  const plan = {
    nids: new Uint32Array(count),
    bodyBytes: new Uint32Array(count),
    block: new Uint32Array(count),
    xattrBytes: new Uint32Array(count),
  };
  let at = INODES_AT;
  for (let inode = 0; inode < count; inode++) {
    const type = (tree.mode[inode] as number) & S.IFMT;
    const xattrs = xattrBytes(tree, inode);
    if (typeof xattrs === "string") {
      throw new ErofsUnsupportedError(inode, xattrs);
    }
    const body = type === S.IFDIR
      ? directories.bytes(inode)
      : type === S.IFLNK
      ? tree.count[inode] as number
      : 0;
    plan.xattrBytes[inode] = xattrs;
    plan.bodyBytes[inode] = body;
    const head = INODE_BYTES + xattrs;
    // A body behind its inode may not cross a block. Where it lies in its block depends on where
    // the inode lies, in steps of NID_BYTES; if the lowest of these is too high, all are.
    const inline = body > 0 && xattrs % NID_BYTES + body <= BLOCK;
    while (inline && (at + head) % BLOCK + body > BLOCK) at += NID_BYTES;
    plan.nids[inode] = at / NID_BYTES;
    if (body > 0 && !inline) plan.block[inode] = 1; // placed below
    if (type === S.IFREG && (tree.size[inode] as number) > 0) {
      at += chunksBehind(xattrs) + chunks(tree, inode) * CHUNK_INDEX_BYTES;
    } else at += head + (inline ? body : 0);
    at = Math.ceil(at / NID_BYTES) * NID_BYTES;
    if (at > MAX_IMAGE_BYTES) break;
  }
  at = Math.ceil(at / BLOCK) * BLOCK;
  for (let inode = 0; inode < count && at <= MAX_IMAGE_BYTES; inode++) {
    if (plan.block[inode] === 0) continue;
    plan.block[inode] = at / BLOCK;
    at += Math.ceil((plan.bodyBytes[inode] as number) / BLOCK) * BLOCK;
  }
  if (at > MAX_IMAGE_BYTES) {
    throw new ErofsUnsupportedError(-1, `${count} inodes are too many`);
  }
  return { ...plan, imageBytes: at };
}

/** The directory each directory is in; the root is in itself. */
function parentsOf(tree: ErofsTree): Uint32Array {
  const parents = new Uint32Array(tree.inodes);
  for (let inode = 0; inode < tree.inodes; inode++) {
    if (((tree.mode[inode] as number) & S.IFMT) !== S.IFDIR) continue;
    const first = tree.first[inode] as number;
    const end = first + (tree.count[inode] as number);
    for (let dirent = first; dirent < end; dirent++) {
      parents[tree.direntInode[dirent] as number] = inode;
    }
  }
  return parents;
}

/** How far behind its inode a file's chunk indexes begin, bytes. */
function chunksBehind(xattrs: number): number {
  return INODE_BYTES +
    Math.ceil(xattrs / CHUNK_INDEX_BYTES) * CHUNK_INDEX_BYTES;
}

function chunks(tree: ErofsTree, inode: number): number {
  return Math.ceil((tree.size[inode] as number) / CHUNK_BYTES);
}

/** Where a regular file's data lies: `struct erofs_inode_chunk_index`, from word `at` on. */
function writeChunks(
  tree: ErofsTree,
  inode: number,
  words: Uint32Array,
  at: number,
  blobBytes: number,
): void {
  const size = tree.size[inode] as number;
  const offset = tree.dataOffset[inode] as number;
  if (offset % BLOCK !== 0) {
    throw new ErofsUnsupportedError(inode, `its data starts at byte ${offset}`);
  }
  if (offset + Math.ceil(size / BLOCK) * BLOCK > blobBytes) {
    throw new ErofsUnsupportedError(inode, "its data ends behind the blob");
  }
  const count = chunks(tree, inode);
  for (let chunk = 0; chunk < count; chunk++) {
    words[at + 2 * chunk] = BLOB_DEVICE << 16;
    words[at + 2 * chunk + 1] = (offset + chunk * CHUNK_BYTES) / BLOCK;
  }
}

/** `struct erofs_inode_extended`, at word `at`. */
function writeInode(
  tree: ErofsTree,
  inode: number,
  words: Uint32Array,
  at: number,
  { format, xattrCount, size, location }: {
    format: number;
    xattrCount: number;
    size: number;
    location: number;
  },
): void {
  const seconds = tree.mtimeSeconds[inode] as number;
  words[at] = format | (xattrCount << 16);
  words[at + 1] = tree.mode[inode] as number;
  words[at + 2] = size % TWO_32;
  words[at + 3] = Math.floor(size / TWO_32);
  words[at + 4] = location;
  words[at + 5] = inode + 1;
  words[at + 6] = tree.uid[inode] as number;
  words[at + 7] = tree.gid[inode] as number;
  words[at + 8] = seconds; // typed arrays take numbers modulo 2^32
  words[at + 9] = Math.floor(seconds / TWO_32);
  words[at + 10] = tree.mtimeNanos[inode] as number;
  words[at + 11] = tree.nlink[inode] as number;
}
