/**
 * The process's memory, as malloc and the kernel count it.
 * @module
 */
import { libc } from "./libc.ts";

const M_MMAP_THRESHOLD = -3; // malloc.h
/** MADV_DONTNEED (asm-generic/mman-common.h). */
export const MADV_DONTNEED = 4;

/**
 * Makes malloc put buffers of at least so many bytes on their own pages, which are returned when freed.
 */
export function mapBuffersFrom(sizeBytes: number): void {
  libc.mallopt(M_MMAP_THRESHOLD, sizeBytes);
}

/** Returns malloc's unused memory to the system. */
export function trimHeap(): void {
  libc.malloc_trim(0n);
}

/**
 * Drops pages, so that they no longer count as this process's memory. Only for unmodified file mappings,
 * where the next access loads the same bytes again; any other memory would become zeros.
 * @param address a multiple of the page size, as `lengthBytes`.
 */
export function dropPages(address: bigint, lengthBytes: bigint): void {
  libc.madvise(address, lengthBytes, MADV_DONTNEED);
}
