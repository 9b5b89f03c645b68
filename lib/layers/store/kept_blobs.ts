/**
 * Blobs of layers on their way, in the folder of what is not done: where they are kept, a process that was killed leaves
 * them to the next one.
 * @module
 */
import { namesIn, removeIfThere, statIfThere } from "../../host/files/mod.ts";

const KEPT = /^blob-[0-9a-f]{64}(\.parts)?$/;

/** Path of a kept blob. @param name 64 hexadecimal digits: which layer it is, and for whom. */
export function keptBlobPath(folder: string, name: string): string {
  return `${folder}/blob-${name}`;
}

/** Whether a file's name is that of a kept blob, or of what goes with it. */
export function isKeptBlob(name: string): boolean {
  return KEPT.test(name);
}

/** Removes kept blobs that nothing was written to for so long, ms. @throws FileError */
export function removeOldBlobs(folder: string, unusedMs: number): void {
  const before = Date.now() - unusedMs;
  for (const name of namesIn(folder).filter(isKeptBlob)) {
    const mtime = statIfThere(`${folder}/${name}`)?.mtime?.getTime();
    if (mtime !== undefined && mtime < before) {
      removeIfThere(`${folder}/${name}`);
    }
  }
}
