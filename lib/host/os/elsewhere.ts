/**
 * Calls that wait: for the disk, for another process, or for our own FUSE Workers. They run on another thread, while the
 * calling one goes on. Nothing else in this house makes such a call.
 * @module
 */
import { LIBC_PATH } from "./libc.ts";

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
  poll: {
    parameters: ["buffer", "usize", "i32"],
    result: "i32",
    nonblocking: true,
  },
  fdatasync: { parameters: ["i32"], result: "i32", nonblocking: true },
} as const;

const calls = Deno.dlopen(LIBC_PATH, symbols).symbols;
type Calls = typeof calls;

/** Arguments of the calls under way. */
const HELD = new Set<readonly unknown[]>();

/**
 * Makes a call on another thread. Its buffers are held here until it has returned: the caller may let
 * go of them at once, but must not change them before. Recent releases of Deno hold the memory, too, but
 * nothing in its documentation promises that.
 * @returns the call's result, below zero when it failed; why (errno) is lost on the way.
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
