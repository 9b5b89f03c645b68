/**
 * The tree an image is made of, in columns: entry `i` of each is inode `i`, and inode 0 is the root.
 * A directory's entries are `count` consecutive *dirents* from `first` on, sorted by the bytes of
 * their names, without `.` and `..`. Several dirents of one inode are hard links.
 */
export interface ErofsTree {
  readonly inodes: number;
  /** Type and permission bits (`st_mode`). */
  readonly mode: Uint32Array;
  readonly uid: Uint32Array;
  readonly gid: Uint32Array;
  readonly nlink: Uint32Array;
  /** The kernel's 32-bit device number (`new_encode_dev`). */
  readonly rdev: Uint32Array;
  readonly mtimeSeconds: Float64Array;
  readonly mtimeNanos: Uint32Array;
  /** Directories only: the first dirent, and how many. */
  readonly first: Uint32Array;
  readonly count: Uint32Array;
  /** Regular files: bytes, and where they start on the blob. */
  readonly size: Float64Array;
  readonly dataOffset: Float64Array;
  /** Holds all names. */
  readonly names: Uint8Array;
  /** Per dirent: its name in `names`, and its inode. */
  readonly nameOffset: Uint32Array;
  readonly nameLength: Uint32Array;
  readonly direntInode: Uint32Array;
  /** Target of a symlink. */
  target(inode: number): Uint8Array;
  xattrCount(inode: number): number;
  xattrKey(inode: number, index: number): Uint8Array;
  xattrValue(inode: number, index: number): Uint8Array;
}

/** What an image belongs to. */
export interface ErofsSource {
  /** Bytes of the blob, a multiple of 512. */
  readonly blobBytes: number;
  /** Checksum of the tree, 32 bits: another tree, another image. */
  readonly treeChecksum: number;
}
