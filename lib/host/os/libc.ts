/**
 * The C library, opened once per isolate. Only buffers and numbers are passed: pointer views would need
 * unscoped FFI.
 * @module
 */

import { LIBC_PATH, NARROW } from "./libc_path.ts";

const symbols = {
  open: { parameters: ["buffer", "i32", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  read: { parameters: ["i32", "buffer", "usize"], result: "i32" },
  write: { parameters: ["i32", "buffer", "usize"], result: "i32" },
  pread: { parameters: ["i32", "buffer", "usize", "i64"], result: "i32" },
  pwrite: { parameters: ["i32", "buffer", "usize", "i64"], result: "i32" },
  // The same three calls for the path of each request: the count is a plain number, so no bigint is
  // allocated. The callee reads a whole register; Deno's trampolines and libffi zero its upper half.
  readCount: {
    name: "read",
    parameters: ["i32", "buffer", "u32"],
    result: "i32",
  },
  writeCount: {
    name: "write",
    parameters: ["i32", "buffer", "u32"],
    result: "i32",
  },
  preadCount: {
    name: "pread",
    parameters: ["i32", "buffer", "u32", "i64"],
    result: "i32",
  },
  // Descriptors as a plain number, for the same reason.
  poll: { parameters: ["buffer", "u32", "i32"], result: "i32" },
  writev: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  mmap: {
    parameters: ["usize", "usize", "i32", "i32", "i32", "i64"],
    result: "usize",
  },
  mallopt: { parameters: ["i32", "i32"], result: "i32" },
  malloc_trim: { parameters: ["usize"], result: "i32" },
  munmap: { parameters: ["usize", "usize"], result: "i32" },
  madvise: { parameters: ["usize", "usize", "i32"], result: "i32" },
  // Offset and length of what to drop from the page cache.
  posix_fadvise: {
    parameters: ["i32", "i64", "i64", "i32"],
    result: "i32",
  },
  lseek: { parameters: ["i32", "i64", "i32"], result: "i64" },
  ftruncate: { parameters: ["i32", "i64"], result: "i32" },
  fdatasync: { parameters: ["i32"], result: "i32" },
  fallocate: { parameters: ["i32", "i32", "i64", "i64"], result: "i32" },
  ioctl: { parameters: ["i32", "usize", "buffer"], result: "i32" },
  mount: {
    parameters: ["buffer", "buffer", "buffer", "usize", "buffer"],
    result: "i32",
  },
  umount2: { parameters: ["buffer", "i32"], result: "i32" },
  setfsuid: { parameters: ["u32"], result: "i32" },
  setfsgid: { parameters: ["u32"], result: "i32" },
  clock_gettime: { parameters: ["i32", "buffer"], result: "i32" },
  chmod: { parameters: ["buffer", "u32"], result: "i32" },
  lchown: { parameters: ["buffer", "u32", "u32"], result: "i32" },
  lsetxattr: {
    parameters: ["buffer", "buffer", "buffer", "usize", "i32"],
    result: "i32",
  },
  llistxattr: { parameters: ["buffer", "buffer", "usize"], result: "i64" },
  lgetxattr: {
    parameters: ["buffer", "buffer", "buffer", "usize"],
    result: "i64",
  },
  utimensat: { parameters: ["i32", "buffer", "buffer", "i32"], result: "i32" },
  mkdir: { parameters: ["buffer", "u32"], result: "i32" },
  getdents64: { parameters: ["i32", "buffer", "usize"], result: "i32" },
  statfs: { parameters: ["buffer", "buffer"], result: "i32" },
  setpriority: { parameters: ["i32", "i32", "i32"], result: "i32" },
  readlink: { parameters: ["buffer", "buffer", "usize"], result: "i32" },
  statx: {
    parameters: ["i32", "buffer", "i32", "u32", "buffer"],
    result: "i32",
  },
  fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
  pipe2: { parameters: ["buffer", "i32"], result: "i32" },
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  listen: { parameters: ["i32", "i32"], result: "i32" },
  sendmsg: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  kill: { parameters: ["i32", "i32"], result: "i32" },
  waitpid: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  // Two of the newer mount calls; libc before 2.36 has no names for them.
  fsopen: {
    name: "syscall",
    parameters: ["i64", "buffer", "i64"],
    result: "i32",
  },
  fsmount: {
    name: "syscall",
    parameters: ["i64", "i64", "i64", "i64"],
    result: "i32",
  },
  // For calls libc has no name for yet; every argument is widened to a register.
  syscall: { parameters: ["i64", "i64", "i64", "i64"], result: "i64" },
  // Copies nothing (length 0): its result is where the buffer lies.
  addressOf: {
    name: "memcpy",
    parameters: ["buffer", "buffer", "usize"],
    result: "usize",
  },
} as const;

const errnoSymbols = {
  location: { name: "__errno_location", parameters: [], result: "usize" },
  copyFrom: {
    name: "memcpy",
    parameters: ["buffer", "usize", "usize"],
    result: "usize",
  },
} as const;

type Calls = Deno.DynamicLibrary<typeof symbols>["symbols"];

/** The calls that this isolate is to have; null: all. */
const narrow: readonly string[] | null = globalThis.name?.startsWith(NARROW)
  ? globalThis.name.slice(NARROW.length).split(" ")
  : null;

/** Whether this isolate has few calls: none on other threads, and no further library. */
export const isNarrow = narrow !== null;

/** This thread's error number. Not among the calls: it copies from any address. */
const errno = Deno.dlopen(LIBC_PATH, errnoSymbols).symbols;
const scratch = new Uint8Array(4);
const scratchView = new DataView(scratch.buffer);

/** The calling thread's errno; read it right after the failed call. */
export function lastErrno(): number {
  errno.copyFrom(scratch, errno.location(), 4n);
  return scratchView.getInt32(0, true);
}

function open(): Calls {
  if (narrow === null) return Deno.dlopen(LIBC_PATH, symbols).symbols;
  const wanted = Object.fromEntries(
    Object.entries(symbols).filter(([name]) => narrow.includes(name)),
  );
  const { symbols: few } = Deno.dlopen(LIBC_PATH, wanted);
  Deno.permissions.revokeSync({ name: "ffi" });
  return few as unknown as Calls; // whoever calls another one fails
}

/**
 * The calls, for this room alone: other rooms get functions with telling names. Results below zero mean
 * failure; ask `raise` for the error. Calls that run on another thread are in `elsewhere.ts`.
 */
export const libc: Calls = open();
