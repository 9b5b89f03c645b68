import {
  addressOf,
  ERRNO,
  lastErrno,
  OsError,
  raise,
  readSome,
  writeGathered,
  writeSome,
} from "../os/mod.ts";
import { BusyWait } from "./busy_wait.ts";
import {
  Attributes,
  DEFERRED,
  type EmitEntry,
  type FuseHandler,
  NodeId,
  ReadReply,
  StatFs,
} from "./handler.ts";
import {
  ALLOW_IDMAP,
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
  MAX_READ_AHEAD_BYTES,
  MAX_READ_BYTES,
  OPCODE,
  OPEN_OUT_BYTES,
  OUT_HEADER_BYTES,
  POSIX_ACL,
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

/**
 * What kernel and server agreed on in INIT. It holds as long as the mount, whichever process serves it.
 */
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
  /**
   * false: there are none. A request for one is answered with ENOSYS, after which the kernel never asks
   * again; lists are empty.
   */
  readonly xattrs: boolean;
  /** Told once, when the kernel has asked INIT: never for a mount that another process started. */
  readonly onNegotiated?: (negotiated: Negotiated) => void;
  /** Told when a request could not be answered because of a fault of ours; it got EIO. */
  readonly onFault?: (error: unknown) => void;
  /** Asked after each request: whether another process or thread serves the mount from now on. */
  readonly isOver?: () => boolean;
}

/**
 * Answers requests of one FUSE descriptor on the calling thread. Several loops, each on a thread of
 * its own, may share the descriptor: the kernel gives each request to one of them.
 *
 * Nothing is allocated for a request. Requests and replies are read and written as 32-bit words, which
 * the protocol's structures are made of (Linux, where Deno runs, is little-endian); the reply begins
 * on 8 bytes, and so does each item of a directory page.
 */
export class FuseLoop {
  readonly #fd: number;
  readonly #busyWait: BusyWait;
  readonly #handler: FuseHandler;
  readonly #xattrs: boolean;
  readonly #onNegotiated: ((negotiated: Negotiated) => void) | undefined;
  readonly #onFault: ((error: unknown) => void) | undefined;
  readonly #isOver: () => boolean;
  readonly #in = new Uint8Array(REQUEST_BYTES);
  readonly #asked = new Uint32Array(this.#in.buffer);
  readonly #out = new Uint8Array(OUT_HEADER_BYTES + MAX_READ_BYTES);
  readonly #reply = new Uint32Array(this.#out.buffer);
  readonly #outAddress = addressOf(this.#out);
  readonly #payload = this.#out.subarray(PAYLOAD);
  readonly #readReply = new ReadReply(this.#payload);
  /** Two `struct iovec`: the header, and bytes from elsewhere. */
  readonly #vector = new Uint32Array(8);
  readonly #vectorBytes = new Uint8Array(this.#vector.buffer);
  readonly #node = new NodeId();
  readonly #child = new NodeId();
  readonly #attributes = new Attributes();
  readonly #statfs = new StatFs();
  // The directory page being written.
  readonly #emit: EmitEntry = (child, name, start, end) =>
    this.#putEntry(child, name, start, end);
  #pagePlus = false;
  #pageAt = 0;
  #pageLimit = 0;
  #pageCursor = 0;

  /** Reads nothing before `run`. @param fd `/dev/fuse` of a mount; stays the caller's. */
  constructor(fd: number, handler: FuseHandler, options: FuseLoopOptions) {
    this.#fd = fd;
    this.#busyWait = new BusyWait(fd);
    this.#handler = handler;
    this.#xattrs = options.xattrs;
    this.#onNegotiated = options.onNegotiated;
    this.#onFault = options.onFault;
    this.#isOver = options.isOver ?? (() => false);
  }

  /**
   * Serves until the file system is unmounted, or a request was answered and `isOver`.
   * @throws OsError when the device fails otherwise.
   */
  run(): void {
    do {
      const length = this.#next();
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
    } while (!this.#isOver());
  }

  /** Reads a request; its length, or -1 with errno set. */
  #next(): number {
    if (this.#busyWait.met()) {
      return readSome(this.#fd, this.#in, REQUEST_BYTES);
    }
    const before = performance.now();
    const length = readSome(this.#fd, this.#in, REQUEST_BYTES);
    if (length >= 0) this.#busyWait.slept(performance.now() - before);
    return length;
  }

  #dispatch(length: number): void {
    const node = this.#node;
    node.lo = this.#word(16);
    node.hi = this.#word(20);
    switch (this.#word(4)) {
      case OPCODE.LOOKUP:
        return this.#lookup(length);
      case OPCODE.GETATTR:
        return this.#getattr();
      case OPCODE.READ:
        return this.#read(false);
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
        return this.#handler.interrupt(this.#word(40), this.#word(44));
      case OPCODE.STATFS:
        return this.#answerStatFs();
      case OPCODE.INIT:
        return this.#init(length);
      case OPCODE.OPEN:
        return this.#open();
      case OPCODE.DESTROY:
      case OPCODE.FLUSH:
      case OPCODE.RELEASE:
        return this.#send(0, 0);
      default: // OPENDIR, ACCESS and all that writes: not ours, the kernel may stop asking
        return this.#fail(ERRNO.ENOSYS);
    }
  }

  #init(length: number): void {
    const offered = this.#word(52);
    // Where there are no extended attributes there are no ACLs, and nothing to ask about.
    const wanted = INIT_FLAGS | INIT_EXT | (this.#xattrs ? POSIX_ACL : 0);
    const flags = (wanted & offered) >>> 0;
    const flags2 = (offered & INIT_EXT) !== 0 && length >= IN_HEADER_BYTES + 20
      ? (this.#word(56) & (HAS_RESEND | ALLOW_IDMAP)) >>> 0
      : 0;
    const backgroundLow = MAX_BACKGROUND - MAX_BACKGROUND / 4;
    this.#clear(PAYLOAD, INIT_OUT_BYTES);
    this.#set(PAYLOAD, PROTOCOL_MAJOR);
    this.#set(PAYLOAD + 4, PROTOCOL_MINOR);
    this.#set(PAYLOAD + 8, MAX_READ_AHEAD_BYTES);
    this.#set(PAYLOAD + 12, flags);
    this.#set(PAYLOAD + 16, MAX_BACKGROUND | backgroundLow << 16); // two u16
    this.#set(PAYLOAD + 20, MAX_WRITE_BYTES);
    this.#set(PAYLOAD + 24, 1); // time granularity: 1 ns
    this.#set(PAYLOAD + 28, MAX_READ_BYTES / 4096); // max_pages, u16
    this.#set(PAYLOAD + 32, flags2);
    this.#send(INIT_OUT_BYTES, 0);
    this.#onNegotiated?.({ minor: this.#word(44), flags, flags2 });
  }

  #open(): void {
    const flags = this.#handler.open(this.#node);
    if (flags < 0) return this.#fail(-flags);
    this.#clear(PAYLOAD, OPEN_OUT_BYTES); // no handle: there is no open state
    this.#set(PAYLOAD + 8, flags);
    this.#send(OPEN_OUT_BYTES, 0);
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
      return status < 0 ? this.#fail(-status) : this.#send(ENTRY_OUT_BYTES, 0);
    }
    if (
      result === -ERRNO.ENOENT && this.#handler.cacheMissing(this.#node)
    ) {
      // Nodeid 0 with a time to live is a cached "no such name".
      this.#clear(PAYLOAD, ENTRY_OUT_BYTES);
      this.#set(PAYLOAD + 16, FOREVER_SECONDS);
      return this.#send(ENTRY_OUT_BYTES, 0);
    }
    this.#fail(-result);
  }

  #getattr(): void {
    const status = this.#handler.attributes(this.#node, this.#attributes);
    if (status < 0) return this.#fail(-status);
    this.#set(PAYLOAD, FOREVER_SECONDS);
    this.#clear(PAYLOAD + 4, 12);
    this.#writeAttributes(PAYLOAD + 16, this.#node);
    this.#send(ATTR_OUT_BYTES, 0);
  }

  /** @param copyOnly the kernel could not read where the handler said the bytes are. */
  #read(copyOnly: boolean): void {
    const offset = this.#word(48) + this.#word(52) * TWO_32;
    const size = Math.min(this.#word(56), MAX_READ_BYTES);
    const handler = this.#handler;
    const reply = this.#readReply;
    reply.address = 0;
    reply.copyOnly = copyOnly;
    const result = handler.read(
      this.#node,
      offset,
      size,
      reply,
      this.#word(8),
      this.#word(12),
      this.#word(32),
    );
    if (result === DEFERRED) return;
    if (result <= 0 || reply.address === 0) this.#answer(result);
    else if (!this.#sendFrom(reply.address, result)) {
      handler.answered();
      return this.#read(true);
    }
    handler.answered();
  }

  /** Replies with bytes that lie elsewhere in memory; false when the kernel cannot read there. */
  #sendFrom(address: number, bytes: number): boolean {
    const vector = this.#vector;
    const out = this.#outAddress;
    vector[0] = out >>> 0;
    vector[1] = Math.floor(out / TWO_32);
    vector[2] = OUT_HEADER_BYTES;
    vector[4] = address >>> 0;
    vector[5] = Math.floor(address / TWO_32);
    vector[6] = bytes;
    this.#header(bytes, 0);
    return writeGathered(this.#fd, this.#vectorBytes, 2) >= 0 ||
      lastErrno() !== ERRNO.EFAULT;
  }

  #readdir(plus: boolean): void {
    const first = this.#word(48) + this.#word(52) * TWO_32;
    this.#pagePlus = plus;
    this.#pageAt = PAYLOAD;
    this.#pageLimit = PAYLOAD + Math.min(this.#word(56), MAX_READ_BYTES);
    this.#pageCursor = first;
    let room = true;
    for (let dots = first; dots < 2 && room; dots++) {
      room = this.#putEntry(null, DOT, 0, dots + 1);
    }
    if (room) {
      const status = this.#handler.entries(
        this.#node,
        this.#pageCursor - 2,
        this.#emit,
      );
      if (status < 0) return this.#fail(-status);
    }
    this.#send(this.#pageAt - PAYLOAD, 0);
  }

  /** An item of the directory page; false when it does not fit. `.` and `..` have no child. */
  #putEntry(
    child: NodeId | null,
    name: Uint8Array,
    start: number,
    end: number,
  ): boolean {
    const plus = this.#pagePlus;
    const nameBytes = end - start;
    const item = this.#pageAt;
    const fixed = (plus ? ENTRY_OUT_BYTES : 0) + DIRENT_BYTES;
    const itemBytes = (fixed + nameBytes + 7) & ~7;
    if (item + itemBytes > this.#pageLimit) return false;
    const target = child ?? this.#node;
    if (plus) {
      if (child === null) {
        // They carry no node: the kernel takes no reference on them.
        this.#clear(item, ENTRY_OUT_BYTES);
      } else if (this.#writeEntry(item, child) < 0) {
        return false;
      }
    }
    const at = plus ? item + ENTRY_OUT_BYTES : item;
    const words = this.#reply;
    const word = at >> 2;
    words[word] = target.lo;
    words[word + 1] = target.hi;
    words[word + 2] = ++this.#pageCursor;
    words[word + 3] = 0;
    words[word + 4] = nameBytes;
    words[word + 5] = child === null ? DT_DIR : this.#handler.direntType(child);
    const out = this.#out;
    const nameAt = at + DIRENT_BYTES;
    for (let i = 0; i < nameBytes; i++) {
      out[nameAt + i] = name[start + i] as number;
    }
    // The padding belongs to the reply: no byte of an older one may leak through it.
    for (let i = nameAt + nameBytes; i < item + itemBytes; i++) out[i] = 0;
    this.#pageAt = item + itemBytes;
    return true;
  }

  #xattr(length: number): void {
    const lists = this.#word(4) === OPCODE.LISTXATTR;
    // ENOSYS makes the kernel stop asking. For a program that reads one attribute it means "not here",
    // but to programs that list what they copy it is an error: they get an empty list.
    if (!this.#xattrs && !lists) return this.#fail(ERRNO.ENOSYS);
    const size = Math.min(this.#word(40), MAX_READ_BYTES);
    const result = !this.#xattrs
      ? 0
      : lists
      ? this.#handler.listxattr(this.#node, this.#payload, size)
      : this.#handler.getxattr(
        this.#node,
        this.#in,
        48,
        length - 1,
        this.#payload,
        size,
      );
    if (result >= 0 && size === 0) {
      this.#set(PAYLOAD, result);
      this.#set(PAYLOAD + 4, 0);
      return this.#send(GETXATTR_OUT_BYTES, 0);
    }
    this.#answer(result);
  }

  #answerStatFs(): void {
    const figures = this.#statfs;
    this.#handler.statfs(figures);
    this.#clear(PAYLOAD, STATFS_OUT_BYTES);
    this.#set64(PAYLOAD, figures.blocks);
    this.#set64(PAYLOAD + 8, figures.blocksFree);
    this.#set64(PAYLOAD + 16, figures.blocksFree);
    this.#set64(PAYLOAD + 24, figures.files);
    this.#set(PAYLOAD + 40, 4096); // bsize
    this.#set(PAYLOAD + 44, 255); // namelen
    this.#set(PAYLOAD + 48, 4096); // frsize
    this.#send(STATFS_OUT_BYTES, 0);
  }

  /** `fuse_entry_out` at `at`; 0 or a negative errno. */
  #writeEntry(at: number, child: NodeId): number {
    const status = this.#handler.attributes(child, this.#attributes);
    if (status < 0) return status;
    const words = this.#reply;
    const word = at >> 2;
    words[word] = child.lo;
    words[word + 1] = child.hi;
    words[word + 2] = 0; // generation
    words[word + 3] = 0;
    words[word + 4] = FOREVER_SECONDS; // entry_valid
    words[word + 5] = 0;
    words[word + 6] = FOREVER_SECONDS; // attr_valid
    words[word + 7] = 0;
    words[word + 8] = 0; // nanoseconds of both
    words[word + 9] = 0;
    this.#writeAttributes(at + 40, child);
    return 0;
  }

  /** `fuse_attr` at `at`, from the scratch attributes. All three times are the tar's mtime. */
  #writeAttributes(at: number, node: NodeId): void {
    const words = this.#reply;
    const attributes = this.#attributes;
    const { size, mtimeSeconds, mtimeNanos } = attributes;
    const secondsLow = mtimeSeconds >>> 0;
    const secondsHigh = Math.floor(mtimeSeconds / TWO_32);
    const word = at >> 2;
    words[word] = node.lo; // the inode number is the nodeid
    words[word + 1] = node.hi;
    this.#set64(at + 8, size);
    this.#set64(at + 16, Math.ceil(size / 512));
    words[word + 6] = secondsLow;
    words[word + 7] = secondsHigh;
    words[word + 8] = secondsLow;
    words[word + 9] = secondsHigh;
    words[word + 10] = secondsLow;
    words[word + 11] = secondsHigh;
    words[word + 12] = mtimeNanos;
    words[word + 13] = mtimeNanos;
    words[word + 14] = mtimeNanos;
    words[word + 15] = attributes.mode;
    words[word + 16] = attributes.nlink;
    words[word + 17] = attributes.uid;
    words[word + 18] = attributes.gid;
    words[word + 19] = attributes.rdev;
    words[word + 20] = 4096; // blksize
    words[word + 21] = 0;
  }

  /** A u32 of the request, at a multiple of 4. */
  #word(at: number): number {
    return this.#asked[at >> 2] as number;
  }

  /** Sets a u32 of the reply, at a multiple of 4. */
  #set(at: number, value: number): void {
    this.#reply[at >> 2] = value;
  }

  /** Two's complement over 64 bits, for whole numbers within ±2^53. */
  #set64(at: number, value: number): void {
    const word = at >> 2;
    this.#reply[word] = value >>> 0;
    this.#reply[word + 1] = Math.floor(value / TWO_32);
  }

  #clear(at: number, bytes: number): void {
    const end = (at + bytes) >> 2;
    for (let word = at >> 2; word < end; word++) this.#reply[word] = 0;
  }

  /** Replies with `result` payload bytes, or its error when negative. */
  #answer(result: number): void {
    if (result < 0) this.#fail(-result);
    else this.#send(result, 0);
  }

  #fail(errno: number): void {
    this.#send(0, errno);
  }

  #send(payloadBytes: number, errno: number): void {
    this.#header(payloadBytes, errno);
    // Failure means the request is gone (ENOENT) or the mount is (ENODEV, seen by the next read).
    writeSome(this.#fd, this.#out, OUT_HEADER_BYTES + payloadBytes);
  }

  #header(payloadBytes: number, errno: number): void {
    const words = this.#reply;
    const asked = this.#asked;
    words[0] = OUT_HEADER_BYTES + payloadBytes;
    words[1] = -errno;
    words[2] = asked[2] as number;
    words[3] = asked[3] as number;
  }
}
