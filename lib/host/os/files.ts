import { callElsewhere } from "./elsewhere.ts";
import { ERRNO, OsError, raise } from "./errno.ts";
import { lastErrno, libc } from "./libc.ts";

/**
 * Flags of open(2) (asm-generic/fcntl.h). `DIRECTORY` is another bit on arm64, where x86-64's means
 * `O_DIRECT` (asm/fcntl.h of both).
 */
export const O = {
  RDONLY: 0,
  WRONLY: 1,
  RDWR: 2,
  CREAT: 0o100,
  TRUNC: 0o1000,
  NONBLOCK: 0o4000,
  DIRECTORY: Deno.build.arch === "aarch64" ? 0o40000 : 0o200000,
  CLOEXEC: 0o2000000,
} as const;

const SEEK_END = 2;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The text with a closing zero byte. @throws TypeError when it holds one itself. */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  if (text.includes("\0")) {
    throw new TypeError("a path may not hold a zero byte");
  }
  return encoder.encode(`${text}\0`);
}

/** Opens a file, close-on-exec. @throws OsError */
export function openFd(path: string, flags: number, mode = 0o600): number {
  const fd = libc.open(cString(path), flags | O.CLOEXEC, mode);
  return fd >= 0 ? fd : raise("open", path);
}

/** Writes a text in a single call, as the kernel's own files (/proc, /sys) require. @throws OsError */
export function writeText(path: string, text: string): void {
  const fd = openFd(path, O.WRONLY); // some of them may not be read
  try {
    const bytes = cString(text).slice(0, -1);
    if (libc.write(fd, bytes, BigInt(bytes.length)) < 0) raise("write", path);
  } finally {
    closeFd(fd);
  }
}

/** Closes a descriptor; failures mean nothing for the files we use. */
export function closeFd(fd: number): void {
  libc.close(fd);
}

/** Size in bytes. @throws OsError */
export function fileSize(fd: number): number {
  const size = Number(libc.lseek(fd, 0n, SEEK_END));
  return size >= 0 ? size : raise("lseek", `descriptor ${fd}`);
}

/** Sets the file's size in bytes; an extension is a hole. @throws OsError */
export function truncateFd(fd: number, sizeBytes: number): void {
  if (libc.ftruncate(fd, BigInt(sizeBytes)) < 0) {
    raise("ftruncate", `descriptor ${fd}`);
  }
}

/** Fills `into` from `offset`; returns the bytes read, less only at the file's end. @throws OsError */
export function preadFully(
  fd: number,
  into: Uint8Array<ArrayBuffer>,
  offset: number,
): number {
  let done = 0;
  while (done < into.length) {
    const part = done === 0 ? into : into.subarray(done);
    const count = libc.pread(
      fd,
      part,
      BigInt(part.length),
      BigInt(offset + done),
    );
    if (count === 0) break;
    if (count < 0) {
      const errno = lastErrno();
      if (errno === ERRNO.EINTR) continue;
      throw new OsError(errno, "pread", `descriptor ${fd} at ${offset + done}`);
    }
    done += count;
  }
  return done;
}

/** Writes all of `bytes` at `offset`. @throws OsError, with ENOSPC when the disk is full. */
export function pwriteFully(
  fd: number,
  bytes: Uint8Array<ArrayBuffer>,
  offset: number,
): void {
  let done = 0;
  while (done < bytes.length) {
    const part = done === 0 ? bytes : bytes.subarray(done);
    const count = libc.pwrite(
      fd,
      part,
      BigInt(part.length),
      BigInt(offset + done),
    );
    if (count < 0) {
      const errno = lastErrno();
      if (errno === ERRNO.EINTR) continue;
      throw new OsError(
        errno,
        "pwrite",
        `descriptor ${fd} at ${offset + done}`,
      );
    }
    done += count;
  }
}

/** Makes a folder. @returns false when the name exists already. @throws OsError */
export function makeFolder(path: string, mode: number): boolean {
  if (libc.mkdir(cString(path), mode) === 0) return true;
  const errno = lastErrno();
  if (errno === ERRNO.EEXIST) return false;
  throw new OsError(errno, "mkdir", path);
}

/** Puts the file's bytes on disk. @throws OsError */
export function dataSync(fd: number): void {
  if (libc.fdatasync(fd) < 0) raise("fdatasync", `descriptor ${fd}`);
}

/** The target of a descriptor of this process, as named in `/proc/self/fd`. @throws OsError */
export function descriptorTarget(fd: number): string {
  const path = `/proc/self/fd/${fd}`;
  const into = new Uint8Array(4096);
  const length = libc.readlink(cString(path), into, BigInt(into.length));
  return length >= 0
    ? new TextDecoder().decode(into.subarray(0, length))
    : raise("readlink", path);
}

/**
 * Syncs the file's bytes to disk without blocking this thread. The descriptor must stay open until then.
 * @throws OsError, always with EIO
 */
export async function dataSyncElsewhere(fd: number): Promise<void> {
  if (await callElsewhere("fdatasync", fd) < 0) {
    throw new OsError(ERRNO.EIO, "fdatasync", `descriptor ${fd}`);
  }
}

/**
 * Writes a message on another thread, for a descriptor whose writes may wait for this process.
 * @returns whether it was taken.
 */
export async function writeElsewhere(
  fd: number,
  message: Uint8Array<ArrayBuffer>,
): Promise<boolean> {
  const length = BigInt(message.length);
  return await callElsewhere("write", fd, message, length) ===
    message.length;
}

/** FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE (uapi/linux/falloc.h). */
const PUNCH_HOLE = 0x01 | 0x02;

/**
 * Frees the disk blocks of a range, which then reads as zeros. Blocks that are only partly in the range
 * stay allocated, and that part is zeroed. @throws OsError
 */
export function punchHole(fd: number, offset: number, length: number): void {
  const result = libc.fallocate(fd, PUNCH_HOLE, BigInt(offset), BigInt(length));
  if (result < 0) raise("fallocate", `descriptor ${fd} at ${offset}`);
}

/**
 * Frees all disk blocks of a file without blocking this thread. The descriptor must stay open until then.
 * @throws OsError, always with EIO
 */
export async function emptyElsewhere(fd: number): Promise<void> {
  if (await callElsewhere("ftruncate", fd, 0n) < 0) {
    throw new OsError(ERRNO.EIO, "ftruncate", `descriptor ${fd}`);
  }
}

/**
 * Reads a file whole, also below `/proc` and `/sys`, which Deno's own file API refuses under narrow
 * permissions.
 * @throws OsError; RangeError when the file is larger than `maxBytes`.
 */
export function readWholeFile(
  path: string,
  maxBytes: number,
): Uint8Array<ArrayBuffer> {
  const fd = openFd(path, O.RDONLY);
  try {
    let buffer = new Uint8Array(64 * 1024);
    let length = 0;
    for (;;) {
      if (length === buffer.length) {
        if (length >= maxBytes) {
          throw new RangeError(`${path} is larger than ${maxBytes} bytes`);
        }
        const larger = new Uint8Array(Math.min(maxBytes, length * 2));
        larger.set(buffer);
        buffer = larger;
      }
      const part = buffer.subarray(length);
      const count = libc.read(fd, part, BigInt(part.length));
      if (count < 0) raise("read", path);
      if (count === 0) return buffer.subarray(0, length);
      length += count;
    }
  } finally {
    closeFd(fd);
  }
}

const DIRENTS_BYTES = 32 * 1024;
/** Offset of the name in `struct linux_dirent64`; its length field lies at 16. */
const DIRENT_NAME = 19;

/**
 * Names in a directory, `.` and `..` left out; also below `/proc` and `/sys`.
 * @throws OsError
 */
export function listNames(path: string): string[] {
  const fd = openFd(path, O.RDONLY | O.DIRECTORY);
  const buffer = new Uint8Array(DIRENTS_BYTES);
  const view = new DataView(buffer.buffer);
  const names: string[] = [];
  try {
    for (;;) {
      const length = libc.getdents64(fd, buffer, BigInt(buffer.length));
      if (length < 0) raise("getdents64", path);
      if (length === 0) return names;
      for (let at = 0; at < length; at += view.getUint16(at + 16, true)) {
        const start = at + DIRENT_NAME;
        const name = decoder.decode(
          buffer.subarray(start, buffer.indexOf(0, start)),
        );
        if (name !== "." && name !== "..") names.push(name);
      }
    }
  } finally {
    closeFd(fd);
  }
}
