import { raise } from "./errno.ts";
import { MADV_DONTNEED } from "./heap.ts";
import { libc } from "./libc.ts";

const PROT_READ = 1;
const MAP_SHARED = 1;
const POSIX_FADV_DONTNEED = 4;
const PAGE = 4096;
/** A page fault also maps neighbouring pages, at most those of one large page. */
const AROUND = 2 * 2 ** 20;

/**
 * A file's bytes in our address space, for the kernel to copy from (`writev`). JavaScript never touches
 * them; it only computes with their address. So an unreadable page makes the call fail (EFAULT), where
 * touching it would kill the process.
 */
export class FileMapping implements Disposable {
  readonly #fd: number;
  /** Address and length for a call, kept in memory so that no bigints are allocated. */
  readonly #range = new BigInt64Array(2);
  readonly #rangeWords = new Uint32Array(this.#range.buffer);
  /** Address of the first byte; addresses are below 2^47. */
  readonly address: number;
  /** Bytes that are mapped. */
  readonly sizeBytes: number;

  /** Maps a file from its beginning; the descriptor must outlive the mapping. @throws OsError */
  constructor(fd: number, sizeBytes: number) {
    const address = BigInt.asIntN(
      64,
      BigInt(libc.mmap(0n, BigInt(sizeBytes), PROT_READ, MAP_SHARED, fd, 0n)),
    );
    if (address === -1n) raise("mmap", `descriptor ${fd}`);
    this.#fd = fd;
    this.address = Number(address);
    this.sizeBytes = sizeBytes;
  }

  /** Removes a range and its surroundings from this process's memory; the page cache keeps the pages. */
  release(offset: number, length: number): void {
    const start = Math.floor(offset / AROUND) * AROUND;
    const end = Math.min(
      Math.ceil((offset + length) / AROUND) * AROUND,
      this.sizeBytes,
    );
    if (end <= start) return;
    const words = this.#rangeWords;
    words[0] = (this.address + start) >>> 0;
    words[1] = Math.floor((this.address + start) / 2 ** 32);
    words[2] = (end - start) >>> 0;
    words[3] = Math.floor((end - start) / 2 ** 32);
    libc.madvise(
      this.#range[0] as bigint,
      this.#range[1] as bigint,
      MADV_DONTNEED,
    );
  }

  /**
   * Drops a range from the page cache too, if it is on disk and nobody else maps it. The bytes stay
   * readable: the next reader loads them from disk.
   */
  drop(offset: number, length: number): void {
    this.release(offset, length);
    const start = Math.floor(offset / PAGE) * PAGE;
    const end = Math.min(offset + length, this.sizeBytes);
    if (end <= start) return;
    libc.posix_fadvise(
      this.#fd,
      BigInt(start),
      BigInt(end - start),
      POSIX_FADV_DONTNEED,
    );
  }

  /** Unmaps. */
  [Symbol.dispose](): void {
    libc.munmap(BigInt(this.address), BigInt(this.sizeBytes));
  }
}

/** The address of a buffer. It must be too large for V8's own moving heap, and stay reachable. */
export function addressOf(bytes: Uint8Array<ArrayBuffer>): number {
  return Number(libc.addressOf(bytes, bytes, 0n));
}
