import { raise } from "./errno.ts";
import { libc } from "./libc.ts";

const CLOCK_REALTIME = 0;
/** struct timespec: seconds and nanoseconds. */
const timespec = new BigInt64Array(2);
const bytes = new Uint8Array(timespec.buffer);

/** A moment of the wall clock. */
export interface Moment {
  /** Whole milliseconds since 1970. */
  readonly ms: number;
  /** Nanoseconds beyond them, below a million. */
  readonly ns: number;
}

/** Now, as exactly as the kernel tells it: other programs compare it with their own clock. @throws OsError */
export function momentNow(): Moment {
  if (libc.clock_gettime(CLOCK_REALTIME, bytes) < 0) {
    raise("clock_gettime", "the wall clock");
  }
  const [seconds = 0n, nanoseconds = 0n] = timespec;
  return {
    ms: Number(seconds * 1000n + nanoseconds / 1_000_000n),
    ns: Number(nanoseconds % 1_000_000n),
  };
}
