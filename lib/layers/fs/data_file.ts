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
 * Replies at least this long are made by the kernel from the mapped file: one copy less. For shorter
 * ones that gains little, and what is mapped counts as this process's memory until it is dropped.
 */
const MAPPED_REPLY_BYTES = 64 * 1024;
/** How much of a stream may pass before its bytes are dropped here. */
const STREAM_BYTES = 8 * 2 ** 20;

/**
 * A layer's data file, as one Worker reads it.
 *
 * What the kernel was given it keeps in its page cache for the FUSE file; that the data file's own
 * pages hold the same bytes is of no use any more. So behind a stream of large reads they are dropped.
 * Small reads leave them: their neighbours are soon asked for.
 */
export class DataFile implements Disposable {
  readonly #fd: number;
  readonly #mapping: FileMapping | null;
  /** The file offset of the next `pread`: taken from memory, it needs no bigint of its own. */
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
   * Answers with `held` bytes that are in the file, and zeros up to `length`: all of it, or -EIO (a
   * short answer inside a file would become zeros).
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

  /** After a reply: its pages count as this process's memory no more, and a stream's are dropped. */
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

  /** Requests of a stream come to several Workers, and not quite in order. */
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

/** Null where a file cannot be mapped (it is empty, or memory is short): then it is read. */
function mapped(fd: number): FileMapping | null {
  try {
    const size = fileSize(fd);
    return size === 0 ? null : new FileMapping(fd, size);
  } catch (error) {
    if (error instanceof OsError) return null;
    throw error;
  }
}
