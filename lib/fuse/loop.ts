import { ERRNO, lastErrno, libc, OsError, raise } from "../os/mod.ts";
import { Attributes, DEFERRED, type FuseHandler, NodeId } from "./handler.ts";
import {
  ATTR_OUT_BYTES,
  DIRENT_BYTES,
  ENTRY_OUT_BYTES,
  FOREVER_SECONDS,
  GETXATTR_OUT_BYTES,
  HAS_RESEND,
  IN_HEADER_BYTES,
  INIT_EXT,
  INIT_FLAGS,
  INIT_OUT_BYTES,
  MAX_BACKGROUND,
  MAX_READ_BYTES,
  OPCODE,
  OUT_HEADER_BYTES,
  PROTOCOL_MAJOR,
  PROTOCOL_MINOR,
  STATFS_OUT_BYTES,
} from "./protocol.ts";

/** `max_write` told to the kernel. Nothing is ever written, but it must not be below a page. */
const MAX_WRITE_BYTES = 128 * 1024;
/** The kernel refuses a read buffer below max_write + 4096. */
const REQUEST_BYTES = MAX_WRITE_BYTES + 8192;
const PAYLOAD = OUT_HEADER_BYTES;
const DOT = new Uint8Array([0x2e, 0x2e]);
const DT_DIR = 4;
const TWO_32 = 2 ** 32;

/** What kernel and server agreed on in INIT. It holds as long as the mount, whoever serves it. */
export interface Negotiated {
  /** The kernel's minor version of protocol 7. */
  readonly minor: number;
  /** Flags that both sides have. */
  readonly flags: number;
  /** The same of the second word. */
  readonly flags2: number;
}

/** How a {@linkcode FuseLoop} answers. */
export interface FuseLoopOptions {
  /** false: extended attributes are answered ENOSYS, for good and for all. */
  readonly xattrs: boolean;
  /** Told once, when the kernel has asked INIT: never for a mount that another process started. */
  readonly onNegotiated?: (negotiated: Negotiated) => void;
  /** Told when a request could not be answered because of a fault of ours; it got EIO. */
  readonly onFault?: (error: unknown) => void;
}

/**
 * Answers requests of one FUSE descriptor on the calling thread. Nothing is allocated for a
 * request beyond what a system call's bigint arguments need.
 */
export class FuseLoop {
  readonly #fd: number;
  readonly #handler: FuseHandler;
  readonly #xattrs: boolean;
  readonly #onNegotiated: ((negotiated: Negotiated) => void) | undefined;
  readonly #onFault: ((error: unknown) => void) | undefined;
  readonly #in = new Uint8Array(REQUEST_BYTES);
  readonly #inView = new DataView(this.#in.buffer);
  readonly #out = new Uint8Array(OUT_HEADER_BYTES + MAX_READ_BYTES);
  readonly #outView = new DataView(this.#out.buffer);
  readonly #payload = this.#out.subarray(PAYLOAD);
  readonly #node = new NodeId();
  readonly #child = new NodeId();
  readonly #attributes = new Attributes();
  readonly #requestBytes = BigInt(REQUEST_BYTES);

  constructor(fd: number, handler: FuseHandler, options: FuseLoopOptions) {
    this.#fd = fd;
    this.#handler = handler;
    this.#xattrs = options.xattrs;
    this.#onNegotiated = options.onNegotiated;
    this.#onFault = options.onFault;
  }

  /**
   * Serves until the file system is unmounted.
   * @throws OsError when the device fails otherwise.
   */
  run(): void {
    for (;;) {
      const length = libc.read(this.#fd, this.#in, this.#requestBytes);
      if (length < 0) {
        const errno = lastErrno();
        if (errno === ERRNO.ENODEV) return; // unmounted
        // ENOENT: the request was interrupted before we read it.
        if (
          errno === ERRNO.EINTR || errno === ERRNO.ENOENT ||
          errno === ERRNO.EAGAIN
        ) continue;
        throw new OsError(errno, "read", "/dev/fuse");
      }
      if (length < IN_HEADER_BYTES) raise("read", "/dev/fuse");
      try {
        this.#dispatch(length);
      } catch (error) {
        // One request must not end the mount for all others.
        this.#onFault?.(error);
        this.#fail(ERRNO.EIO);
      }
    }
  }

  #dispatch(length: number): void {
    const view = this.#inView;
    const node = this.#node;
    node.lo = view.getUint32(16, true);
    node.hi = view.getUint32(20, true);
    switch (view.getUint32(4, true)) {
      case OPCODE.LOOKUP:
        return this.#lookup(length);
      case OPCODE.GETATTR:
        return this.#getattr();
      case OPCODE.READ:
        return this.#read();
      case OPCODE.READDIR:
        return this.#readdir(false);
      case OPCODE.READDIRPLUS:
        return this.#readdir(true);
      case OPCODE.READLINK:
        return this.#answer(this.#handler.readlink(node, this.#payload));
      case OPCODE.GETXATTR:
      case OPCODE.LISTXATTR:
        return this.#xattr(length);
      case OPCODE.FORGET:
      case OPCODE.BATCH_FORGET:
        return; // no reply, and nothing is counted: nodeids are not memory here
      case OPCODE.INTERRUPT:
        return this.#handler.interrupt(
          view.getUint32(40, true),
          view.getUint32(44, true),
        );
      case OPCODE.STATFS:
        return this.#statfs();
      case OPCODE.INIT:
        return this.#init(length);
      case OPCODE.DESTROY:
      case OPCODE.FLUSH:
      case OPCODE.RELEASE:
        return this.#reply(0);
      default: // OPEN, OPENDIR, ACCESS and all that writes: not ours, the kernel may stop asking
        return this.#fail(ERRNO.ENOSYS);
    }
  }

  #init(length: number): void {
    const offered = this.#inView.getUint32(52, true);
    const flags = ((INIT_FLAGS | INIT_EXT) & offered) >>> 0;
    const flags2 = (offered & INIT_EXT) !== 0 && length >= IN_HEADER_BYTES + 20
      ? (this.#inView.getUint32(56, true) & HAS_RESEND) >>> 0
      : 0;
    const view = this.#outView;
    this.#out.fill(0, PAYLOAD, PAYLOAD + INIT_OUT_BYTES);
    view.setUint32(PAYLOAD, PROTOCOL_MAJOR, true);
    view.setUint32(PAYLOAD + 4, PROTOCOL_MINOR, true);
    view.setUint32(PAYLOAD + 8, MAX_READ_BYTES, true); // max_readahead
    view.setUint32(PAYLOAD + 12, flags, true);
    view.setUint16(PAYLOAD + 16, MAX_BACKGROUND, true);
    view.setUint16(PAYLOAD + 18, MAX_BACKGROUND - MAX_BACKGROUND / 4, true);
    view.setUint32(PAYLOAD + 20, MAX_WRITE_BYTES, true);
    view.setUint32(PAYLOAD + 24, 1, true); // time granularity: 1 ns
    view.setUint16(PAYLOAD + 28, MAX_READ_BYTES / 4096, true); // max_pages
    view.setUint32(PAYLOAD + 32, flags2, true);
    this.#reply(INIT_OUT_BYTES);
    this.#onNegotiated?.({
      minor: this.#inView.getUint32(44, true),
      flags,
      flags2,
    });
  }

  #lookup(length: number): void {
    const child = this.#child;
    // The name ends with a zero byte, the last byte of the request.
    const result = this.#handler.lookup(
      this.#node,
      this.#in,
      IN_HEADER_BYTES,
      length - 1,
      child,
    );
    if (result === 0) {
      const status = this.#writeEntry(PAYLOAD, child);
      return status < 0 ? this.#fail(-status) : this.#reply(ENTRY_OUT_BYTES);
    }
    if (
      result === -ERRNO.ENOENT && this.#handler.cacheMissing(this.#node)
    ) {
      // Nodeid 0 with a time to live is a cached "no such name".
      this.#out.fill(0, PAYLOAD, PAYLOAD + ENTRY_OUT_BYTES);
      this.#outView.setUint32(PAYLOAD + 16, FOREVER_SECONDS, true);
      return this.#reply(ENTRY_OUT_BYTES);
    }
    this.#fail(-result);
  }

  #getattr(): void {
    const status = this.#handler.attributes(this.#node, this.#attributes);
    if (status < 0) return this.#fail(-status);
    const view = this.#outView;
    view.setUint32(PAYLOAD, FOREVER_SECONDS, true);
    view.setUint32(PAYLOAD + 4, 0, true);
    view.setUint32(PAYLOAD + 8, 0, true);
    view.setUint32(PAYLOAD + 12, 0, true);
    this.#writeAttributes(PAYLOAD + 16, this.#node);
    this.#reply(ATTR_OUT_BYTES);
  }

  #read(): void {
    const view = this.#inView;
    const offset = view.getUint32(48, true) +
      view.getUint32(52, true) * TWO_32;
    const size = Math.min(view.getUint32(56, true), MAX_READ_BYTES);
    const result = this.#handler.read(
      this.#node,
      offset,
      size,
      this.#payload,
      view.getUint32(8, true),
      view.getUint32(12, true),
      view.getUint32(32, true),
    );
    if (result !== DEFERRED) this.#answer(result);
  }

  #readdir(plus: boolean): void {
    const request = this.#inView;
    const cursor = request.getUint32(48, true) +
      request.getUint32(52, true) * TWO_32;
    const limit = PAYLOAD +
      Math.min(request.getUint32(56, true), MAX_READ_BYTES);
    const node = this.#node;
    let position = PAYLOAD;
    let next = cursor;

    const put = (
      child: NodeId | null,
      name: Uint8Array,
      start: number,
      end: number,
    ): boolean => {
      const nameBytes = end - start;
      const fixed = (plus ? ENTRY_OUT_BYTES : 0) + DIRENT_BYTES;
      const itemBytes = (fixed + nameBytes + 7) & ~7;
      if (position + itemBytes > limit) return false;
      const target = child ?? node;
      let at = position;
      if (plus) {
        if (child === null) {
          // `.` and `..` carry no node: the kernel takes no reference on them.
          this.#out.fill(0, at, at + ENTRY_OUT_BYTES);
        } else if (this.#writeEntry(at, child) < 0) {
          return false;
        }
        at += ENTRY_OUT_BYTES;
      }
      const view = this.#outView;
      next++;
      view.setUint32(at, target.lo, true);
      view.setUint32(at + 4, target.hi, true);
      view.setUint32(at + 8, next, true);
      view.setUint32(at + 12, 0, true);
      view.setUint32(at + 16, nameBytes, true);
      view.setUint32(
        at + 20,
        child === null ? DT_DIR : this.#handler.direntType(child),
        true,
      );
      const nameAt = at + DIRENT_BYTES;
      for (let i = 0; i < nameBytes; i++) {
        this.#out[nameAt + i] = name[start + i] as number;
      }
      // The padding belongs to the reply: no byte of an older one may leak through it.
      this.#out.fill(0, nameAt + nameBytes, position + itemBytes);
      position += itemBytes;
      return true;
    };

    let room = true;
    for (let dots = next; dots < 2 && room; dots++) {
      room = put(null, DOT, 0, dots + 1);
    }
    if (room) {
      const status = this.#handler.entries(node, next - 2, put);
      if (status < 0) return this.#fail(-status);
    }
    this.#reply(position - PAYLOAD);
  }

  #xattr(length: number): void {
    if (!this.#xattrs) return this.#fail(ERRNO.ENOSYS);
    const view = this.#inView;
    const list = view.getUint32(4, true) === OPCODE.LISTXATTR;
    const size = Math.min(view.getUint32(40, true), MAX_READ_BYTES);
    const into = this.#payload.subarray(0, size);
    const result = list
      ? this.#handler.listxattr(this.#node, into)
      : this.#handler.getxattr(this.#node, this.#in, 48, length - 1, into);
    if (result >= 0 && size === 0) {
      this.#outView.setUint32(PAYLOAD, result, true);
      this.#outView.setUint32(PAYLOAD + 4, 0, true);
      return this.#reply(GETXATTR_OUT_BYTES);
    }
    this.#answer(result);
  }

  #statfs(): void {
    const { blocks, blocksFree, files } = this.#handler.statfs();
    const view = this.#outView;
    this.#out.fill(0, PAYLOAD, PAYLOAD + STATFS_OUT_BYTES);
    this.#set64(PAYLOAD, blocks);
    this.#set64(PAYLOAD + 8, blocksFree);
    this.#set64(PAYLOAD + 16, blocksFree);
    this.#set64(PAYLOAD + 24, files);
    view.setUint32(PAYLOAD + 40, 4096, true); // bsize
    view.setUint32(PAYLOAD + 44, 255, true); // namelen
    view.setUint32(PAYLOAD + 48, 4096, true); // frsize
    this.#reply(STATFS_OUT_BYTES);
  }

  /** `fuse_entry_out` at `at`; 0 or a negative errno. */
  #writeEntry(at: number, child: NodeId): number {
    const status = this.#handler.attributes(child, this.#attributes);
    if (status < 0) return status;
    const view = this.#outView;
    view.setUint32(at, child.lo, true);
    view.setUint32(at + 4, child.hi, true);
    view.setUint32(at + 8, 0, true); // generation
    view.setUint32(at + 12, 0, true);
    view.setUint32(at + 16, FOREVER_SECONDS, true); // entry_valid
    view.setUint32(at + 20, 0, true);
    view.setUint32(at + 24, FOREVER_SECONDS, true); // attr_valid
    view.setUint32(at + 28, 0, true);
    view.setUint32(at + 32, 0, true); // nanoseconds of both
    view.setUint32(at + 36, 0, true);
    this.#writeAttributes(at + 40, child);
    return 0;
  }

  /** `fuse_attr` at `at`, from the scratch attributes. All three times are the tar's mtime. */
  #writeAttributes(at: number, node: NodeId): void {
    const view = this.#outView;
    const { size, mtimeSeconds, mtimeNanos, mode, nlink, uid, gid, rdev } =
      this.#attributes;
    view.setUint32(at, node.lo, true); // the inode number is the nodeid
    view.setUint32(at + 4, node.hi, true);
    this.#set64(at + 8, size);
    this.#set64(at + 16, Math.ceil(size / 512));
    this.#set64(at + 24, mtimeSeconds);
    this.#set64(at + 32, mtimeSeconds);
    this.#set64(at + 40, mtimeSeconds);
    view.setUint32(at + 48, mtimeNanos, true);
    view.setUint32(at + 52, mtimeNanos, true);
    view.setUint32(at + 56, mtimeNanos, true);
    view.setUint32(at + 60, mode, true);
    view.setUint32(at + 64, nlink, true);
    view.setUint32(at + 68, uid, true);
    view.setUint32(at + 72, gid, true);
    view.setUint32(at + 76, rdev, true);
    view.setUint32(at + 80, 4096, true); // blksize
    view.setUint32(at + 84, 0, true);
  }

  /** Two's complement over 64 bits, for whole numbers within ±2^53. */
  #set64(at: number, value: number): void {
    this.#outView.setUint32(at, value >>> 0, true);
    this.#outView.setInt32(at + 4, Math.floor(value / TWO_32), true);
  }

  /** Replies with `result` payload bytes, or its error when negative. */
  #answer(result: number): void {
    if (result < 0) this.#fail(-result);
    else this.#reply(result);
  }

  #fail(errno: number): void {
    this.#send(0, errno);
  }

  #reply(payloadBytes: number): void {
    this.#send(payloadBytes, 0);
  }

  #send(payloadBytes: number, errno: number): void {
    const length = OUT_HEADER_BYTES + payloadBytes;
    const view = this.#outView;
    view.setUint32(0, length, true);
    view.setInt32(4, -errno, true);
    view.setUint32(8, this.#inView.getUint32(8, true), true);
    view.setUint32(12, this.#inView.getUint32(12, true), true);
    // Failure means the request is gone (ENOENT) or the mount is (ENODEV, seen by the next read).
    libc.write(this.#fd, this.#out, BigInt(length));
  }
}
