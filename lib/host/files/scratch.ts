import { FileError } from "./errors.ts";
import { statIfThere } from "./there.ts";

/** Not on a disk, the first that is there. */
const MEMORY_FOLDERS = ["/run", "/dev/shm", "/tmp"];

/**
 * Makes an empty private folder in memory, for what must work whatever the disk of the state is like. The caller
 * removes it.
 * @throws FileError
 */
export function makeScratchFolder(): string {
  const dir = MEMORY_FOLDERS.find((folder) =>
    statIfThere(folder)?.isDirectory ?? false
  );
  try {
    return Deno.makeTempDirSync({ prefix: "soci-deno-", ...(dir && { dir }) });
  } catch (cause) {
    throw new FileError("write", dir ?? "a folder", cause);
  }
}
