import { ERRNO, OsError } from "./errno.ts";
import { readWholeFile } from "./files.ts";
import { libc } from "./libc.ts";

/** Of setpriority(2): the calling thread, where the number is 0. */
const PRIO_PROCESS = 0;

const MAX_STATUS_BYTES = 64 * 1024;
/** CHLD, CONT, STOP, TSTP, TTIN, TTOU, URG, WINCH: by default they do not end a process. */
const HARMLESS = [17, 18, 19, 20, 21, 22, 23, 28].reduce(
  (mask, signal) => mask | 1n << BigInt(signal - 1),
  0n,
);

/** The kernel's status of a thread; null when it is gone. @throws OsError */
function statusOf(thread: number): string | null {
  try {
    return new TextDecoder().decode(
      readWholeFile(`/proc/${thread}/status`, MAX_STATUS_BYTES),
    );
  } catch (error) {
    if (
      error instanceof OsError &&
      (error.errno === ERRNO.ENOENT || error.errno === ERRNO.ESRCH)
    ) return null;
    throw error;
  }
}

/**
 * Lets threads that wait for a core go before this one.
 * @param steps of 19; a step is a quarter more or less of a core where several want it.
 * @returns whether the system did so.
 */
export function yieldCores(steps: number): boolean {
  return libc.setpriority(PRIO_PROCESS, 0, steps) === 0;
}

/**
 * How often a thread has begun to wait since it started. While it waits, the number does not change.
 * Null for 0 (a thread that this process cannot see) and for a thread that is gone.
 */
export function waitsBegun(thread: number): number | null {
  if (thread === 0) return null;
  const [, digits] =
    statusOf(thread)?.match(/^voluntary_ctxt_switches:\s*(\d+)$/m) ?? [];
  return digits === undefined ? null : Number(digits);
}

/**
 * Whether a thread (its number, as in /proc) is being killed, even if it is still blocked in the kernel:
 * a fatal signal is pending, or it is gone. False for 0, a thread that this process cannot see.
 */
export function isBeingKilled(thread: number): boolean {
  if (thread === 0) return false;
  const status = statusOf(thread);
  if (status === null) return true;
  if (/^State:\s*[ZX]/m.test(status)) return true;
  const mask = (name: string) => {
    const [, digits = "0"] =
      status.match(new RegExp(`^${name}:\\s*([0-9a-f]+)$`, "m")) ?? [];
    return BigInt(`0x${digits}`);
  };
  const waiting = mask("SigPnd") | mask("ShdPnd");
  const handled = mask("SigBlk") | mask("SigIgn") | mask("SigCgt");
  return (waiting & ~handled & ~HARMLESS) !== 0n;
}
