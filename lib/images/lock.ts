/** A process has the root: one a root. */
export class RootInUseError extends Error {
  override readonly name = "RootInUseError";
  constructor(readonly path: string) {
    super(
      `${path} is held by another soci-deno process; use another --root`,
    );
  }
}

/** Takes the lock of a root; closing the file gives it back. @throws RootInUseError */
export function takeLock(path: string): Deno.FsFile {
  const file = Deno.openSync(path, { write: true, create: true });
  if (!file.tryLockSync(true)) {
    file.close();
    throw new RootInUseError(path);
  }
  return file;
}
