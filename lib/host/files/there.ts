/**
 * Files and folders that need not exist. A missing one is a normal result; any other failure is an
 * error.
 * @module
 */
import { FileError, type FileStep } from "./errors.ts";

/** `null` when nothing has that name. @throws FileError */
function ifThere<T>(step: FileStep, path: string, work: () => T): T | null {
  try {
    return work();
  } catch (cause) {
    if (
      cause instanceof Deno.errors.NotFound ||
      cause instanceof Deno.errors.NotADirectory // a parent is a file
    ) return null;
    throw new FileError(step, path, cause);
  }
}

/** The file's bytes; null when there is none. @param maxBytes a larger one is an error. @throws FileError */
export function readIfThere(
  path: string,
  maxBytes = Infinity,
): Uint8Array<ArrayBuffer> | null {
  return ifThere(
    "read",
    path,
    () => (assertFile(path, maxBytes), Deno.readFileSync(path)),
  );
}

/** The file's text; null when there is none. @throws FileError */
export function readTextIfThere(path: string): string | null {
  return ifThere(
    "read",
    path,
    () => (assertFile(path), Deno.readTextFileSync(path)),
  );
}

/** A pipe would block whoever reads it, and a device may never end. @throws Error, Deno's errors */
function assertFile(path: string, maxBytes = Infinity): void {
  const { isFile, size } = Deno.statSync(path);
  if (!isFile) throw new Error("it is no file");
  if (size > maxBytes) throw new Error(`it is larger than ${maxBytes} bytes`);
}

/** Makes a folder. @returns false when the name exists already. @throws FileError */
export function makeFolderHere(path: string, mode: number): boolean {
  try {
    Deno.mkdirSync(path, { mode });
    return true;
  } catch (cause) {
    if (cause instanceof Deno.errors.AlreadyExists) return false;
    throw new FileError("write", path, cause);
  }
}

/** What the system knows of a file or folder, links followed; null when there is none. @throws FileError */
export function statIfThere(path: string): Deno.FileInfo | null {
  return ifThere("read", path, () => Deno.statSync(path));
}

/** Unit of `st_blocks`, whatever the file system's own block size (stat(2)). */
const STAT_BLOCK_BYTES = 512;

/** Bytes that a file or folder takes on disk; fewer than its size if it has holes. */
export function bytesOnDisk({ blocks }: Deno.FileInfo): number {
  return (blocks ?? 0) * STAT_BLOCK_BYTES;
}

/** Names in a folder, in no order; none when it is not there. @throws FileError */
export function namesIn(folder: string): string[] {
  return ifThere(
    "read",
    folder,
    () => [...Deno.readDirSync(folder)].map(({ name }) => name),
  ) ?? [];
}

/** Removes a file or an empty folder. @returns whether it was there. @throws FileError */
export function removeIfThere(path: string): boolean {
  return ifThere("remove", path, () => (Deno.removeSync(path), true)) ?? false;
}

/** Removes a folder and its contents; a missing one is not an error. @throws FileError */
export function removeFolder(path: string): void {
  ifThere("remove", path, () => Deno.removeSync(path, { recursive: true }));
}

/**
 * {@linkcode removeFolder} without blocking this thread, which would wait for the disk where blocks are
 * discarded as they are freed. @throws FileError
 */
export async function removeFolderElsewhere(path: string): Promise<void> {
  try {
    await Deno.remove(path, { recursive: true });
  } catch (cause) {
    ifThere("remove", path, () => {
      throw cause;
    });
  }
}
