/**
 * The tree an image is made of, in columns: entry `i` of each is inode `i`, and inode 0 is the root.
 * A directory's entries are `count` consecutive *dirents* from `first` on, sorted by the bytes of
 * their names, without `.` and `..`. Several dirents of one inode are hard links.
 */
export interface ErofsTree {
  /** How many inodes there are; the length of each column below, but for those of dirents. */
  readonly inodes: number;
  /** Type and permission bits (`st_mode`). */
  readonly mode: Uint32Array;
  /** Owner, 32 bits. */
  readonly uid: Uint32Array;
  /** Group, 32 bits. */
  readonly gid: Uint32Array;
  /** Dirents that name the inode; of a directory 2 and its subdirectories. */
  readonly nlink: Uint32Array;
  /** The kernel's 32-bit device number (`new_encode_dev`). */
  readonly rdev: Uint32Array;
  /** Modification time, whole seconds since 1970; may be negative. */
  readonly mtimeSeconds: Float64Array;
  /** What is to be added to `mtimeSeconds`, in [0, 10^9). */
  readonly mtimeNanos: Uint32Array;
  /** Directories only: the first dirent, and how many. */
  readonly first: Uint32Array;
  /** Directories only: how many dirents. */
  readonly count: Uint32Array;
  /** Regular files: bytes, and where they start on the blob. */
  readonly size: Float64Array;
  /**
   * Regular files: where their bytes start on the blob; a multiple of 512 where EROFS can say it.
   */
  readonly dataOffset: Float64Array;
  /** Holds all names. */
  readonly names: Uint8Array;
  /** Per dirent: its name in `names`, and its inode. */
  readonly nameOffset: Uint32Array;
  /** Per dirent: bytes of its name, 1 to 255 where EROFS can say it. */
  readonly nameLength: Uint32Array;
  /** Per dirent: the inode it names. */
  readonly direntInode: Uint32Array;
  /** Target of a symlink. */
  target(inode: number): Uint8Array;
  /** How many extended attributes an inode has. */
  xattrCount(inode: number): number;
  /** The whole name of an attribute, as `user.mime`. @param index in [0, `xattrCount`). */
  xattrKey(inode: number, index: number): Uint8Array;
  /** The value of an attribute. @param index in [0, `xattrCount`). */
  xattrValue(inode: number, index: number): Uint8Array;
}

/** What an image belongs to. */
export interface ErofsSource {
  /** Bytes of the blob, a multiple of 512. */
  readonly blobBytes: number;
  /** Checksum of the tree, 32 bits: another tree, another image. */
  readonly treeChecksum: number;
  /**
   * Name of the volume, 16 letters of ASCII at most. Images that differ in it have other UUIDs, by which
   * overlayfs tells the layers it stacks apart: two equal trees are two file systems.
   */
  readonly volume?: string;
}
