import { isReadOnlyDisk, writeAllSync } from "../../host/files/mod.ts";
import { isStuckDying, processStart } from "../../host/os/mod.ts";
import { logger } from "../../telemetry/mod.ts";

const log = logger("images");

/** Another process holds the root's lock; only one process may use a root. */
export class RootInUseError extends Error {
  /** The class's name, for logs. */
  override readonly name = "RootInUseError";
  /** Another process has the lock. */
  constructor(
    /** Of the lock. */
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
 * A predecessor may have been killed while it was mounting a layer by EROFS. Its mount call then waits
 * in the kernel for an answer that the killed process itself should give, so it cannot end and keeps its
 * lock until another process answers in its place. The next daemon does that, so the lock of such a
 * process is ignored.
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
