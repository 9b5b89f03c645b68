/** A nodeid as its two halves. One instance is reused for many requests: copy what you keep. */
export class NodeId {
  /** High 32 bits. */
  hi = 0;
  /** Low 32 bits. */
  lo = 0;
}

/** What `stat` shows. One instance is reused: the handler fills every field. */
export class Attributes {
  /** Bytes. */
  size = 0;
  /** Seconds since 1970, may be negative. */
  mtimeSeconds = 0;
  /** 0 … 999 999 999. */
  mtimeNanos = 0;
  /** Type and permission bits (`S_IFMT` included). */
  mode = 0;
  /** Names of the inode. */
  nlink = 1;
  /** Owner. */
  uid = 0;
  /** Group. */
  gid = 0;
  /** The kernel's encoding of a device number (`new_encode_dev`). */
  rdev = 0;
}

/** Figures for `statfs`, in blocks of 4096 bytes. One instance is reused. */
export class StatFs {
  /** Blocks there are. */
  blocks = 0;
  /** Blocks nobody uses. */
  blocksFree = 0;
  /** Inodes there are; none is free. */
  files = 0;
}

/**
 * Where a read's bytes go, or where they are. One instance is reused, valid during the call only.
 */
export class ReadReply {
  /**
   * Address of the reply's bytes in this process, if they are not in `payload`: the kernel copies them
   * directly from there, once instead of twice. 0: they are in `payload`.
   */
  address = 0;
  /** true: fill `payload`, because the kernel could not read at the address given before. */
  copyOnly = false;

  /** One for each loop. @param payload the reply's own buffer, `MAX_READ_BYTES` long. */
  constructor(readonly payload: Uint8Array<ArrayBuffer>) {}
}

/** The handler answers this read later. */
export const DEFERRED: number = Number.MIN_SAFE_INTEGER;

/** Takes one directory entry; false when the page is full. `name` is copied at once. */
export type EmitEntry = (
  child: NodeId,
  name: Uint8Array,
  nameStart: number,
  nameEnd: number,
) => boolean;

/**
 * A read-only file system. Every call is synchronous, on the loop's thread. Results below zero are
 * negative error numbers. `into` is the reply buffer itself: valid during the call only.
 */
export interface FuseHandler {
  /**
   * Finds `name` (bytes `start` to `end` of `buffer`) in a directory.
   * @returns 0 and `child` filled; or a negative errno, -ENOENT being cached for ever when
   * `cacheMissing(parent)` allows.
   */
  lookup(
    parent: NodeId,
    buffer: Uint8Array,
    start: number,
    end: number,
    child: NodeId,
  ): number;
  /** Whether the absence of a name in this directory is final. */
  cacheMissing(parent: NodeId): boolean;
  /** Fills `into`; 0 or a negative errno. */
  attributes(node: NodeId, into: Attributes): number;
  /**
   * How a file is opened: flags of `FOPEN`, or a negative errno. -ENOSYS: the kernel sends no more OPEN
   * requests for this mount, and opens its files with their cache kept.
   */
  open(node: NodeId): number;
  /** Writes the link's target; its length or a negative errno. */
  readlink(node: NodeId, into: Uint8Array): number;
  /**
   * Emits the directory's entries from number `first` on (0 is the first; `.` and `..` are not the
   * handler's), until `emit` says false. 0 or a negative errno.
   */
  entries(node: NodeId, first: number, emit: EmitEntry): number;
  /** The `DT_*` type of a node, for READDIR. */
  direntType(node: NodeId): number;
  /**
   * Length of the attribute's value, written when it is not above `limit`, else -ERANGE; with a
   * `limit` of 0 only the length is asked for.
   */
  getxattr(
    node: NodeId,
    buffer: Uint8Array,
    start: number,
    end: number,
    into: Uint8Array,
    limit: number,
  ): number;
  /** Length of the zero-terminated names, written as with `getxattr`. */
  listxattr(node: NodeId, into: Uint8Array, limit: number): number;
  /**
   * Reads `size` bytes into `reply.payload`, or says where they are (`reply.address`). Bytes read
   * (short only at the file's end), a negative errno, or `DEFERRED` when someone will answer
   * `unique` later. Unless deferred, `answered` follows once the reply is with the kernel. `thread`
   * asks; 0 when it is unknown.
   */
  read(
    node: NodeId,
    offset: number,
    size: number,
    reply: ReadReply,
    uniqueLo: number,
    uniqueHi: number,
    thread: number,
  ): number;
  /** The kernel has the reply to the last `read`: its bytes are no longer needed. */
  answered(): void;
  /**
   * The thread of a waiting request got some signal; the kernel reports only the first one. Answer
   * -EINTR only if the thread is being killed. For any other thread that would be a failed read, which
   * code that reads by a page fault or through another file system does not expect.
   */
  interrupt(uniqueLo: number, uniqueHi: number): void;
  /** Fills `into`. */
  statfs(into: StatFs): void;
}
