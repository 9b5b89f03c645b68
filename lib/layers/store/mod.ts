/**
 * TODO
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
