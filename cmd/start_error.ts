import { isFullDisk, isReadOnlyDisk } from "../lib/host/files/mod.ts";

/** The disk does not let the daemon start; the cause is the disk's own error. */
class DaemonStartError extends Error {
  static {
    this.prototype.name = "DaemonStartError";
  }
}

const STAYS =
  "the mounts stay as they are, and their readers wait for a daemon that can start";

/** What is to be done about an error that kept the daemon from starting; the error itself where that is not known. */
export function whyNoStart(error: unknown, root: string): unknown {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (isFullDisk(cause)) {
      return new DaemonStartError(
        `the disk of ${root} is full: free some of it and start again; ${STAYS}`,
        { cause: error },
      );
    }
    if (isReadOnlyDisk(cause)) {
      return new DaemonStartError(
        `the disk of ${root} is read-only, and something on it has to be made anew: make it writable and start again; ${STAYS}`,
        { cause: error },
      );
    }
  }
  return error;
}
