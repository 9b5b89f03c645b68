import { FileError } from "./errors.ts";

/** Not on a disk. Permissions name these, so each is one folder. */
export const SCRATCH_FOLDERS: readonly string[] = ["/run", "/dev/shm", "/tmp"]
  .map((memory) => `${memory}/soci-deno-scratch`);
/** Of a mode: what others than the owner may do. */
const OTHERS = 0o077;

/**
 * Makes an empty private folder in memory, for what must work whatever the disk of the state is like. The caller
 * removes it.
 * @throws FileError
 */
export function makeScratchFolder(): string {
  let why: unknown;
  for (const folder of SCRATCH_FOLDERS) {
    try {
      return makeIn(folder);
    } catch (error) {
      why ??= error;
    }
  }
  throw new FileError("write", SCRATCH_FOLDERS[0]!, why);
}

/** @throws Error unless the folder is this user's own, and nobody else's to enter */
function makeIn(folder: string): string {
  try {
    Deno.mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
  const { isDirectory, mode, uid } = Deno.lstatSync(folder);
  if (!isDirectory || (mode! & OTHERS) !== 0) {
    throw new Error(`${folder} is not a private folder`);
  }
  const made = Deno.makeTempDirSync({ dir: folder });
  if (Deno.lstatSync(made).uid === uid) return made;
  Deno.removeSync(made);
  throw new Error(`${folder} belongs to user ${uid}`);
}
