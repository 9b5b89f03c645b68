/** Vtable slots of the ztoc's tables (the format has no file identifier and is not size-prefixed). */

/** Table Ztoc, the root. */
export const ZTOC = {
  version: 0,
  buildTool: 1,
  compressedSize: 2,
  uncompressedSize: 3,
  toc: 4,
  compression: 5,
} as const;

/** Table TOC. */
export const TOC = { metadata: 0 } as const;

/** Table CompressionInfo. */
export const COMPRESSION = {
  algorithm: 0,
  maxSpanId: 1,
  spanDigests: 2,
  checkpoints: 3,
} as const;

/**
 * Values of CompressionInfo.algorithm; gzip is the default and not written. The existing tools know no
 * word for zstd: see docs/indexing.md.
 */
export const ALGORITHM = { gzip: 1, uncompressed: 2, zstd: 3 } as const;

/** Table FileMetadata. */
export const FILE = {
  name: 0,
  type: 1,
  offset: 2,
  size: 3,
  linkname: 4,
  mode: 5,
  uid: 6,
  gid: 7,
  uname: 8,
  gname: 9,
  modTime: 10,
  devMajor: 11,
  devMinor: 12,
  xattrs: 13,
} as const;

/** Table Xattr. */
export const XATTR = { key: 0, value: 1 } as const;

/** Table TarZinfo: the checkpoints of an uncompressed layer are a FlatBuffer of their own. */
export const TAR_ZINFO = { version: 0, spanSize: 1, size: 2 } as const;
