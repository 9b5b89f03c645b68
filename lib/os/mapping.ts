import { raise } from "./errno.ts";
import { libc } from "./libc.ts";

const PROT_READ = 1;
const MAP_SHARED = 1;
const MADV_DONTNEED = 4;
const POSIX_FADV_DONTNEED = 4;
const PAGE = 4096;

/**
 * A file's bytes in our address space, for the kernel to copy from (`writev`). JavaScript never looks
 * at them, it only does arithmetic with their address: so a page that cannot be read makes the call
 * fail (EFAULT), and never kills the process as touching it would.
 */
export class FileMapping implements Disposable {
  readonly #fd: number;
  /** Address of the first byte; addresses are below 2^47. */
  readonly address: number;
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

  /** A range counts no more as this process's memory; the page cache keeps it. */
  release(offset: number, length: number): void {
    const { start, end } = this.#pages(offset, length);
    if (end <= start) return;
    libc.madvise(
      BigInt(this.address + start),
      BigInt(end - start),
      MADV_DONTNEED,
    );
  }

  /**
   * Lets go of a range in the page cache too, where it is on disk and nobody else maps it. The bytes
   * stay readable; the next reader brings them from disk.
   */
  drop(offset: number, length: number): void {
    this.release(offset, length);
    const { start, end } = this.#pages(offset, length);
    if (end <= start) return;
    libc.posix_fadvise(
      this.#fd,
      BigInt(start),
      BigInt(end - start),
      POSIX_FADV_DONTNEED,
    );
  }

  /** Whole pages that hold a range. */
  #pages(offset: number, length: number): { start: number; end: number } {
    return {
      start: Math.floor(offset / PAGE) * PAGE,
      end: Math.min(offset + length, this.sizeBytes),
    };
  }

  /** Unmaps. */
  [Symbol.dispose](): void {
    libc.munmap(BigInt(this.address), BigInt(this.sizeBytes));
  }
}

/** Where a buffer lies. It must be larger than what V8 keeps on its own moving heap, and reachable. */
export function addressOf(bytes: Uint8Array<ArrayBuffer>): number {
  return Number(libc.addressOf(bytes, bytes, 0n));
}
