/**
 * Calls for hot paths. They allocate nothing and throw nothing: a result below zero means failure, and
 * `lastErrno`, asked right afterwards, says which. Counts are below 2^32.
 *
 * Each stays one line, so that V8 inlines it at its callers.
 * @module
 */
import { libc } from "./libc.ts";

/** read(2): fills up to `count` bytes of `into`. @returns the bytes read. */
export function readSome(
  fd: number,
  into: Uint8Array<ArrayBuffer>,
  count: number,
): number {
  return libc.readCount(fd, into, count);
}

/**
 * pread(2): {@linkcode readSome} from `offset`. The caller keeps the offset in memory, so no bigint is
 * allocated.
 */
export function readSomeAt(
  fd: number,
  into: Uint8Array<ArrayBuffer>,
  count: number,
  offset: bigint,
): number {
  return libc.preadCount(fd, into, count, offset);
}

/** write(2): writes the first `count` bytes of `from`. @returns the bytes written. */
export function writeSome(
  fd: number,
  from: Uint8Array<ArrayBuffer>,
  count: number,
): number {
  return libc.writeCount(fd, from, count);
}

/**
 * writev(2): writes the bytes that `vectors` points at, as one message, and returns how many were
 * written.
 * @param vectors `count` times `struct iovec`: address and length, 64 bits each. The bytes they point at
 * must not be moved or freed meanwhile; if they cannot be read, the call fails with EFAULT.
 */
export function writeGathered(
  fd: number,
  vectors: Uint8Array<ArrayBuffer>,
  count: number,
): number {
  return libc.writev(fd, vectors, count);
}

/**
 * poll(2) without waiting: the number of descriptors with events.
 * @param descriptors `count` times `struct pollfd`: descriptor, then events and returned events, 16 bits
 * each.
 */
export function pollNow(
  descriptors: Uint8Array<ArrayBuffer>,
  count: number,
): number {
  return libc.poll(descriptors, count, 0);
}
