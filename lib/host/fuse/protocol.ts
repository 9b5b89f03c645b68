/** Numbers of include/uapi/linux/fuse.h that are used here. */

/** Largest READ we let the kernel ask for, and the largest page of a directory. */
export const MAX_READ_BYTES = 1 << 20;

/** Largest read-ahead a mount may be given (it starts with the system's default). */
export const MAX_READ_AHEAD_BYTES = 4 << 20;

export const IN_HEADER_BYTES = 40;
export const OUT_HEADER_BYTES = 16;
export const ENTRY_OUT_BYTES = 128;
export const ATTR_OUT_BYTES = 104;
export const INIT_OUT_BYTES = 64;
export const DIRENT_BYTES = 24;
export const OPEN_OUT_BYTES = 16;
export const STATFS_OUT_BYTES = 80;
export const GETXATTR_OUT_BYTES = 8;

/** Seconds an entry or attribute stays valid: a hundred years, the kernel cuts it to its maximum. */
export const FOREVER_SECONDS = 3_153_600_000;

export const OPCODE = {
  LOOKUP: 1,
  FORGET: 2,
  GETATTR: 3,
  READLINK: 5,
  OPEN: 14,
  READ: 15,
  STATFS: 17,
  RELEASE: 18,
  GETXATTR: 22,
  LISTXATTR: 23,
  FLUSH: 25,
  INIT: 26,
  OPENDIR: 27,
  READDIR: 28,
  ACCESS: 34,
  INTERRUPT: 36,
  DESTROY: 38,
  BATCH_FORGET: 42,
  READDIRPLUS: 44,
} as const;

/** INIT flags we ask for when the kernel offers them. */
export const INIT_FLAGS = (1 << 0) | // ASYNC_READ
  (1 << 5) | // BIG_WRITES
  (1 << 13) | // DO_READDIRPLUS
  (1 << 14) | // READDIRPLUS_AUTO
  (1 << 17) | // NO_OPEN_SUPPORT
  (1 << 18) | // PARALLEL_DIROPS
  (1 << 22) | // MAX_PAGES
  (1 << 23) | // CACHE_SYMLINKS
  (1 << 24); // NO_OPENDIR_SUPPORT

/**
 * INIT flag: the kernel asks for the ACLs of files and goes by them. Without it they are shown and not
 * obeyed, and what is their mask is taken for the rights of the owning group.
 */
export const POSIX_ACL = 1 << 20;
/** INIT flag: the reply's flags2 counts. */
export const INIT_EXT = 1 << 30;
/**
 * flags2: the kernel can resend requests that an ended server has not answered (FUSE_HAS_RESEND, 6.9).
 */
export const HAS_RESEND = 1 << 7;
/**
 * flags2: mounts may be cloned with mapped owners (FUSE_ALLOW_IDMAP, 6.12). Only with the mount option
 * `default_permissions`, else the connection ends. No request says who asks then.
 */
export const ALLOW_IDMAP = 1 << 8;
/** The notification that triggers a resend. */
export const NOTIFY_RESEND = 7;
/** Of a notification: cached bytes of an inode are of no use any more. */
export const NOTIFY_INVAL_INODE = 2;

export const PROTOCOL_MAJOR = 7;
/** Minor version whose structures are used. */
export const PROTOCOL_MINOR = 41;
/**
 * Background requests (read-ahead) that the kernel may have in flight. Reads that wait for the network
 * count too, so a small limit would block cached reads.
 */
export const MAX_BACKGROUND = 2048;

/** Flags of OPEN's reply (FOPEN_*). */
export const FOPEN = {
  /** Reads bypass the kernel's cache of the file: for users that have a cache of their own. */
  DIRECT_IO: 1,
  /** The kernel's cached pages of the file stay valid. */
  KEEP_CACHE: 2,
} as const;

/** An INTERRUPT's own `unique` is its request's with this bit (FUSE_INT_REQ_BIT). */
export const INTERRUPT_BIT = 1;
