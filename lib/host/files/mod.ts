/**
 * Files of this machine, as all other rooms use them: written completely or not at all, and read or
 * removed if they exist.
 *
 * It may touch the file system, through Deno alone. So users of this room need no libc, and the tools
 * that only make indexes do not load it. It must not know what the files are for.
 *
 * Every failure is a `FileError`, or an `OpenFolderError`, that names the file.
 * @module
 */
export {
  FileError,
  type FileStep,
  isFullDisk,
  isReadOnlyDisk,
} from "./errors.ts";
export { CoalescedTask } from "./coalesced_task.ts";
export { SharedRounds } from "./shared_rounds.ts";
export { ofNewerRelease } from "./newer_release.ts";
export { makeScratchFolder } from "./scratch.ts";
export { isFullDatabase, readDatabase, type SpareRoom } from "./database.ts";
export type { DamagedRow, DroppedRow } from "./row_sums.ts";
export { StateDatabase, type StateDatabaseOptions } from "./state_database.ts";
export { Statements } from "./statements.ts";
export { type DatabaseMark, readMark, writeMark } from "./mark_file.ts";
export { checkedLine, textOfLine } from "./checked_line.ts";
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
export { putOddAside, putOddOfFolderAside } from "./odd.ts";
export {
  bytesOnDisk,
  makeFolderHere,
  namesIn,
  readIfThere,
  readTextIfThere,
  removeFolder,
  removeFolderElsewhere,
  removeIfThere,
  statIfThere,
} from "./there.ts";
export { SCRATCH_FOLDERS } from "./scratch.ts";
export {
  assertLinksOfRoot,
  ensurePrivateFolder,
  type Looks,
  OpenFolderError,
  type SeenEntry,
} from "./private.ts";
