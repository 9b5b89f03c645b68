/**
 * Files of this machine, as everything above wants them: written whole or not at all, read when they
 * are there, removed when they are.
 *
 * It may touch the file system, through Deno alone: what uses this room needs no libc, so the tools
 * that only make indexes load none. It must not know what the files are for.
 *
 * Every failure is a `FileError`, or an `OpenFolderError`, that names the file.
 * @module
 */
export { FileError, type FileStep } from "./errors.ts";
export {
  Draft,
  type DraftOptions,
  putOnDisk,
  type SyncWriter,
  writeAll,
  writeAllSync,
  type Writer,
  writeWhole,
  writeWholeSync,
} from "./whole.ts";
export {
  bytesOnDisk,
  namesIn,
  readIfThere,
  readTextIfThere,
  removeFolder,
  removeIfThere,
  statIfThere,
} from "./there.ts";
export {
  assertLinksOfRoot,
  ensurePrivateFolder,
  OpenFolderError,
} from "./private.ts";
