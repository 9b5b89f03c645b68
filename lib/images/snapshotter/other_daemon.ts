import { isBolt } from "../../formats/bolt/mod.ts";
import { FileError, statIfThere } from "../../host/files/mod.ts";
import { SnapshotterSetupError } from "./errors.ts";

const HEAD_BYTES = 64;

/** Whether a file of snapshots is the existing daemon's: it keeps them in bbolt. @throws FileError */
export function isOfOtherDaemon(path: string): boolean {
  if (statIfThere(path)?.isFile !== true) return false;
  try {
    using file = Deno.openSync(path);
    const head = new Uint8Array(HEAD_BYTES);
    const bytes = file.readSync(head) ?? 0;
    return isBolt(head.subarray(0, bytes));
  } catch (cause) {
    throw new FileError("read", path, cause);
  }
}

/** Refuses the existing daemon's file, which is left as it is. @throws SnapshotterSetupError, FileError */
export function assertNotOfOtherDaemon(path: string): void {
  if (!isOfOtherDaemon(path)) return;
  throw new SnapshotterSetupError(
    path,
    "holds the snapshots of the existing SOCI daemon, and is left as it is: stop that daemon and run `soci-deno adopt`, which shows what has to be cleared before this one can take its place; or take another --root",
  );
}
