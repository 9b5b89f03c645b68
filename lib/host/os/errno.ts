import { constants } from "node:os";
import { libc } from "./libc.ts";

/** Error numbers by name (asm-generic/errno.h). */
export const ERRNO: Readonly<Record<keyof typeof constants.errno, number>> =
  constants.errno;

const NAMES = new Map<number, string>(
  Object.entries(constants.errno).map(([name, value]) => [value, name]),
);

/** `ENOENT` for 2, `errno 9999` for a number without a name. */
function errnoName(errno: number): string {
  return NAMES.get(errno) ?? `errno ${errno}`;
}

/** A system call failed. */
export class OsError extends Error {
  static {
    this.prototype.name = "OsError";
  }
  /**
   * The message names call, subject and error.
   * @param subject the path or descriptor the call was about.
   */
  constructor(
    readonly errno: number,
    readonly syscall: string,
    readonly subject: string,
  ) {
    super(`${syscall} ${subject}: ${errnoName(errno)}`);
  }

  /** `ENOENT`, `ENOSPC`, … */
  get code(): string {
    return errnoName(this.errno);
  }
}

const scratch = new Uint8Array(4);
const scratchView = new DataView(scratch.buffer);

/** The calling thread's errno; read it right after the failed call. */
export function lastErrno(): number {
  libc.copyFrom(scratch, libc.errnoLocation(), 4n);
  return scratchView.getInt32(0, true);
}

/** Throws the error of the call that just failed. */
export function raise(syscall: string, subject: string): never {
  throw new OsError(lastErrno(), syscall, subject);
}
