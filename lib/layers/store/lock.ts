import { isReadOnlyDisk, writeAllSync } from "../../host/files/mod.ts";
import { isStuckDying, processStart } from "../../host/os/mod.ts";
import { logger } from "../../telemetry/mod.ts";

const log = logger("images");

/** Another process holds the root's lock; only one process may use a root. */
export class RootInUseError extends Error {
  /** The class's name, for logs. */
  override readonly name = "RootInUseError";
  /** Makes the error. */
  constructor(
    /** The lock file. */
    readonly path: string,
  ) {
    super(
      `${path} is held by another soci-deno process; use another --root`,
    );
  }
}

/**
 * Takes the lock of a root; closing the file releases it.
 *
 * A predecessor may have been killed while it was mounting a layer by EROFS. Its mount call then
 * waits in the kernel for an answer that only the killed process could give. So that process cannot
 * exit, and keeps its lock until another process answers instead. The next daemon does that, so it
 * ignores the lock of such a process.
 * @throws RootInUseError
 */
export function takeLock(path: string): Deno.FsFile {
  const file = openLock(path);
  if (file.tryLockSync(true)) return signed(file);
  file.close();
  const [pid = "", started = ""] = Deno.readTextFileSync(path).split(" ");
  if (!isStuckDying(Number(pid), started)) throw new RootInUseError(path);
  log.warn("the last daemon cannot end before its mounts are answered", {
    pid: Number(pid),
  });
  const draft = `${path}.new`;
  const fresh = Deno.openSync(draft, { write: true, create: true });
  if (!fresh.tryLockSync(true)) {
    fresh.close();
    throw new RootInUseError(path);
  }
  Deno.renameSync(draft, path);
  return signed(fresh);
}

/** Whether no process has the lock now. */
export function isLockFree(path: string): boolean {
  using file = openLock(path);
  return file.tryLockSync(true);
}

/** Locking writes nothing: a lock that is there serves on a read-only disk, too. */
function openLock(path: string): Deno.FsFile {
  try {
    return Deno.openSync(path, { write: true, create: true });
  } catch (error) {
    if (!isReadOnlyDisk(error)) throw error;
    return Deno.openSync(path);
  }
}

/** Writes into a lock whose it is, in place: that needs no room. */
function signed(file: Deno.FsFile): Deno.FsFile {
  const text = `${Deno.pid} ${processStart(Deno.pid)}`;
  try {
    writeAllSync(file, new TextEncoder().encode(text));
    file.truncateSync(text.length);
  } catch (error) {
    log.warn("the lock cannot say whose it is", { error: String(error) });
  }
  return file;
}
