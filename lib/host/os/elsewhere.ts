/**
 * Calls that wait: for the disk, for another process, or for our own FUSE Workers. They run on another
 * thread and do not block the caller. All non-blocking calls go through this file.
 * @module
 */
import { isNarrow } from "./libc.ts";
import { LIBC_PATH } from "./libc_path.ts";

const symbols = {
  mount: {
    parameters: ["buffer", "buffer", "buffer", "usize", "buffer"],
    result: "i32",
    nonblocking: true,
  },
  umount2: {
    parameters: ["buffer", "i32"],
    result: "i32",
    nonblocking: true,
  },
  // The two newer mount calls that look paths up; libc before 2.36 has no names for them.
  fsconfig: {
    name: "syscall",
    parameters: ["i64", "i64", "i64", "buffer", "buffer", "i64"],
    result: "i32",
    nonblocking: true,
  },
  moveMount: {
    name: "syscall",
    parameters: ["i64", "i64", "buffer", "i64", "buffer", "i64"],
    result: "i32",
    nonblocking: true,
  },
  open: {
    parameters: ["buffer", "i32", "i32"],
    result: "i32",
    nonblocking: true,
  },
  poll: {
    parameters: ["buffer", "usize", "i32"],
    result: "i32",
    nonblocking: true,
  },
  write: {
    parameters: ["i32", "buffer", "usize"],
    result: "i32",
    nonblocking: true,
  },
  fdatasync: { parameters: ["i32"], result: "i32", nonblocking: true },
  ftruncate: { parameters: ["i32", "i64"], result: "i32", nonblocking: true },
} as const;

type Calls = Deno.DynamicLibrary<typeof symbols>["symbols"];

const calls = isNarrow
  ? {} as Calls // whoever calls one fails
  : Deno.dlopen(LIBC_PATH, symbols).symbols;

/** Arguments of running calls. */
const HELD = new Set<readonly unknown[]>();

/**
 * Makes a call on another thread. Its buffers are held here until it has returned, so the caller need
 * not keep them, but must not change them before. Recent releases of Deno also hold the memory, but its
 * documentation does not promise that.
 * @returns the call's result, below zero when it failed; errno is lost.
 */
export async function callElsewhere<Name extends keyof Calls>(
  name: Name,
  ...args: Parameters<Calls[Name]>
): Promise<number> {
  HELD.add(args);
  try {
    return await (calls[name] as (...args: unknown[]) => Promise<number>)(
      ...args,
    );
  } finally {
    HELD.delete(args);
  }
}
