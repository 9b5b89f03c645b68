/**
 * What is on disk of a served layer: the table of slots, and a folder for each with the ztoc, the tree, the
 * data file and the span map.
 *
 * Files are whole or not there. After an unclean stop of the machine nothing unproved is believed. One
 * process has a root at a time, by a lock.
 *
 * It may touch the daemon's root and nothing outside of it. It must not know who reads a layer, nor how
 * missing bytes come.
 * @module
 */
export { IdleLayerFolders } from "./idle.ts";
export { LyingZtocError, StateVersionError } from "./errors.ts";
export {
  holds,
  type NewFile,
  newTree,
  openTree,
  saveFiles,
} from "./layer_files.ts";
export { RootInUseError, takeLock } from "./lock.ts";
export { SharedRun } from "./shared_run.ts";
export {
  type SlotRecord,
  SlotsExhaustedError,
  SlotTableStore,
} from "./slots.ts";
