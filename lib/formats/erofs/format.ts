/**
 * Numbers of the EROFS format (fs/erofs/erofs_fs.h) that are used here, and how an image is laid out:
 *
 * | bytes | what |
 * |---|---|
 * | 0 … 1023 | nothing |
 * | 1024 | superblock, 128 bytes |
 * | 1152 | the one device slot, 128 bytes |
 * | 1536 | inodes in the tree's order, each with its attributes and, right behind it, where its data lies on the blob, or, where they fit, its directory entries or link target |
 * | then | blocks of larger directories and longer link targets |
 *
 * An inode's number (*nid*) is its place in the image divided by 32.
 *
 * File data is given as chunks, each with the number of its device, although one chunk is enough for
 * almost every file. With a plain address after the image's own blocks the kernel (6.12 … 6.18) would
 * find the same data, but would never read more than one folio at once (`erofs_fileio_scan_folio`
 * compares addresses of two kinds).
 * @module
 */

export const BLOCK_BITS = 9;
/** Bytes of a block of an image. */
export const BLOCK: number = 1 << BLOCK_BITS;

export const SUPERBLOCK_AT = 1024;
export const DEVICE_SLOT_BYTES = 128;
export const DEVICE_SLOT_AT = 1152;
export const INODES_AT = 1536;

export const MAGIC = 0xe0f5e1e2;

/** Byte offsets in the superblock. */
export const SUPERBLOCK = {
  magic: 0,
  featureCompat: 8,
  blockBits: 12,
  rootNid: 14,
  inodes: 16,
  blocks: 36,
  uuid: 48,
  volumeName: 64,
  featureIncompat: 80,
  extraDevices: 86,
  deviceSlot: 88,
} as const;

/** Byte offsets in a device slot. */
export const DEVICE = { blocks: 64, address: 68 } as const;

export const COMPAT_MTIME = 0x2;
export const INCOMPAT_CHUNKED_FILE = 0x4;
export const INCOMPAT_DEVICE_TABLE = 0x8;

export const INODE_BYTES = 64;
export const NID_BYTES = 32;
/** `i_format` of an extended inode: bit 0, then the data layout. */
export const FORMAT_PLAIN = 1 | (0 << 1);
export const FORMAT_INLINE = 1 | (2 << 1);
export const FORMAT_CHUNKED = 1 | (4 << 1);

/** A chunk's index is 8 bytes: high bits of its block (u16), device (u16), block (u32). */
export const CHUNK_INDEX_BYTES = 8;
/** In `i_u`: chunks have indexes; the low five bits are their size, in blocks, as a power of two. */
export const CHUNK_INDEXES = 0x20;
export const MAX_CHUNK_BLOCK_BITS = 31;
/** Number of the one device. */
export const BLOB_DEVICE = 1;

export const DIRENT_BYTES = 12;
/** `file_type` of a directory entry. */
export const FILE_TYPE = {
  regular: 1,
  directory: 2,
  character: 3,
  block: 4,
  fifo: 5,
  socket: 6,
  symlink: 7,
} as const;

export const XATTR_HEADER_BYTES = 12;
export const XATTR_ENTRY_BYTES = 4;
/** `e_value_size` is 16 bits. */
export const MAX_XATTR_VALUE_BYTES = 0xffff;
/** `i_xattr_icount` is 16 bits, in words behind the header's first. */
export const MAX_XATTRS_BYTES = XATTR_HEADER_BYTES + 4 * (0xffff - 1);
