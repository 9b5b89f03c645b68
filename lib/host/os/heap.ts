/**
 * The process's memory, as malloc and the kernel count it.
 * @module
 */
import { libc } from "./libc.ts";

const M_MMAP_THRESHOLD = -3; // malloc.h
/** MADV_DONTNEED (asm-generic/mman-common.h). */
export const MADV_DONTNEED = 4;

/** Lets malloc put buffers of at least so many bytes on pages of their own, which go back when freed. */
export function mapBuffersFrom(sizeBytes: number): void {
  libc.mallopt(M_MMAP_THRESHOLD, sizeBytes);
}

/** Gives what malloc holds and nobody uses back to the system. */
export function trimHeap(): void {
  libc.malloc_trim(0n);
}

/**
 * Lets go of pages: they count no more as this process's memory. Only for mappings of files that nobody
 * wrote to, where the next access brings the same bytes back; anything else would be zeros.
 * @param address a multiple of the page size, as `lengthBytes`.
 */
export function dropPages(address: bigint, lengthBytes: bigint): void {
  libc.madvise(address, lengthBytes, MADV_DONTNEED);
}
