import type { ReadReply } from "../../host/fuse/mod.ts";
import {
  closeFd,
  ERRNO,
  FileMapping,
  fileSize,
  O,
  openFd,
  OsError,
  readSomeAt,
} from "../../host/os/mod.ts";

/**
 * Replies of at least this length are sent directly from a mapping of the file, which saves a copy. For
 * shorter ones the gain is small, and mapped pages count as this process's memory until they are
 * dropped.
 */
const MAPPED_REPLY_BYTES = 64 * 1024;
/** After this many sequential bytes, their pages are dropped from the data file's cache. */
const STREAM_BYTES = 8 * 2 ** 20;

/**
 * A layer's data file, as one Worker reads it.
 *
 * The kernel caches the bytes of a reply as pages of the FUSE file. So the data file's own cached
 * pages are useless then, and are dropped after a stream of large reads. After small reads they are
 * kept, because their neighbours will be read soon.
 */
export class DataFile implements Disposable {
  readonly #fd: number;
  readonly #mapping: FileMapping | null;
  /** The file offset of the next `pread`, kept in memory so that no bigint is allocated. */
  readonly #offset = new BigInt64Array(1);
  readonly #offsetWords = new Uint32Array(this.#offset.buffer);
  #streamStart = 0;
  #streamEnd = 0;
  /** What the last reply was made from. */
  #mappedAt = 0;
  #mappedBytes = 0;

  /** @throws OsError */
  constructor(path: string) {
    this.#fd = openFd(path, O.RDONLY);
    this.#mapping = mapped(this.#fd);
  }

  /**
   * Answers with `held` bytes from the file and zeros up to `length`: completely, or with -EIO (the
   * kernel would fill a short answer inside a file with zeros).
   */
  read(
    position: number,
    held: number,
    length: number,
    reply: ReadReply,
  ): number {
    const mapping = this.#mapping;
    if (held >= MAPPED_REPLY_BYTES) {
      this.#follow(position, held);
      if (
        mapping !== null && held === length && !reply.copyOnly &&
        position + held <= mapping.sizeBytes
      ) {
        reply.address = mapping.address + position;
        this.#mappedAt = position;
        this.#mappedBytes = length;
        return length;
      }
    }
    this.#offsetWords[0] = position >>> 0;
    this.#offsetWords[1] = Math.floor(position / 2 ** 32);
    const count = readSomeAt(
      this.#fd,
      reply.payload,
      held,
      this.#offset[0] as bigint,
    );
    if (count !== held) return -ERRNO.EIO;
    if (held < length) reply.payload.fill(0, held, length);
    return length;
  }

  /** After a reply: unmaps its pages from this process, and drops the cached pages of a stream. */
  tidy(): void {
    if (this.#mappedBytes > 0) {
      this.#mapping?.release(this.#mappedAt, this.#mappedBytes);
      this.#mappedBytes = 0;
    }
    const length = this.#streamEnd - this.#streamStart;
    if (length < STREAM_BYTES) return;
    this.#mapping?.drop(this.#streamStart, length);
    this.#streamStart = this.#streamEnd;
  }

  /** Detects a stream, whose requests reach several Workers and not quite in order. */
  #follow(position: number, length: number): void {
    const end = position + length;
    if (
      position < this.#streamStart || position > this.#streamEnd + STREAM_BYTES
    ) {
      this.#streamStart = position;
      this.#streamEnd = end;
    } else if (end > this.#streamEnd) this.#streamEnd = end;
  }

  /** Closes the file. */
  [Symbol.dispose](): void {
    this.#mapping?.[Symbol.dispose]();
    closeFd(this.#fd);
  }
}

/** Null if a file cannot be mapped (it is empty, or memory is short): then `pread` is used. */
function mapped(fd: number): FileMapping | null {
  try {
    const size = fileSize(fd);
    return size === 0 ? null : new FileMapping(fd, size);
  } catch (error) {
    if (error instanceof OsError) return null;
    throw error;
  }
}
