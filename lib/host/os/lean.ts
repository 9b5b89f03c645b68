/**
 * Calls for hot paths. They allocate nothing and throw nothing: a result below zero means failure, and
 * `lastErrno`, asked right afterwards, says which. Counts are below 2^32.
 *
 * They stay one line each, so that V8 puts the call itself where they are used.
 * @module
 */
import { libc } from "./libc.ts";

/** read(2): fills up to `count` bytes of `into`; how many came. */
export function readSome(
  fd: number,
  into: Uint8Array<ArrayBuffer>,
  count: number,
): number {
  return libc.readCount(fd, into, count);
}

/** pread(2): {@linkcode readSome} from `offset`, whose maker keeps it in memory and so makes no bigint. */
export function readSomeAt(
  fd: number,
  into: Uint8Array<ArrayBuffer>,
  count: number,
  offset: bigint,
): number {
  return libc.preadCount(fd, into, count, offset);
}

/** write(2): the first `count` bytes of `from`; how many were taken. */
export function writeSome(
  fd: number,
  from: Uint8Array<ArrayBuffer>,
  count: number,
): number {
  return libc.writeCount(fd, from, count);
}

/**
 * writev(2): the bytes that `vectors` tells of, as one message; how many were taken.
 * @param vectors `count` times `struct iovec`: address and length, 64 bits each. What they point at must
 * not be moved or freed meanwhile; where it cannot be read the call fails with EFAULT.
 */
export function writeGathered(
  fd: number,
  vectors: Uint8Array<ArrayBuffer>,
  count: number,
): number {
  return libc.writev(fd, vectors, count);
}

/**
 * poll(2), without waiting: of how many descriptors there is something to tell.
 * @param descriptors `count` times `struct pollfd`: descriptor, then events and returned events, 16 bits
 * each.
 */
export function pollNow(
  descriptors: Uint8Array<ArrayBuffer>,
  count: number,
): number {
  return libc.poll(descriptors, count, 0);
}
