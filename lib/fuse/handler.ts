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
  nlink = 1;
  uid = 0;
  gid = 0;
  /** The kernel's encoding of a device number (`new_encode_dev`). */
  rdev = 0;
}

/** Figures for `statfs`. */
export interface StatFs {
  readonly blocks: number;
  readonly blocksFree: number;
  readonly files: number;
}

/** The handler answers this read later. */
export const DEFERRED = Number.MIN_SAFE_INTEGER;

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
  /** Writes the link's target; its length or a negative errno. */
  readlink(node: NodeId, into: Uint8Array): number;
  /**
   * Emits the directory's entries from number `first` on (0 is the first; `.` and `..` are not the
   * handler's), until `emit` says false. 0 or a negative errno.
   */
  entries(node: NodeId, first: number, emit: EmitEntry): number;
  /** The `DT_*` type of a node, for READDIR. */
  direntType(node: NodeId): number;
  /** Length of the attribute's value; written when `into` holds it, else -ERANGE unless `into` is empty. */
  getxattr(
    node: NodeId,
    buffer: Uint8Array,
    start: number,
    end: number,
    into: Uint8Array,
  ): number;
  /** Length of the zero-terminated names; written when `into` holds them, as with `getxattr`. */
  listxattr(node: NodeId, into: Uint8Array): number;
  /**
   * Reads into `into[0 … size)`. Bytes read (short only at the file's end), a negative errno, or
   * `DEFERRED` when someone will answer `unique` later. `thread` asks; 0 when it is unknown.
   */
  read(
    node: NodeId,
    offset: number,
    size: number,
    into: Uint8Array<ArrayBuffer>,
    uniqueLo: number,
    uniqueHi: number,
    thread: number,
  ): number;
  /**
   * A waiting request's thread got a signal, of whatever kind; the kernel tells once. Only a thread
   * that is being killed must be let go, with -EINTR: to others that is a failed read, which whoever
   * runs into it by a page fault or through another file system does not expect.
   */
  interrupt(uniqueLo: number, uniqueHi: number): void;
  statfs(): StatFs;
}
