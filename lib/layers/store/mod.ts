/**
 * What is on disk of layers, whoever serves them. One process has a root at a time, by a lock.
 *
 * ```text
 * <root>/lock            held by the process that owns all below (`takeLock`)
 * <root>/slots.db        which layer has which slot, which ztocs lie (`SlotTableStore`)
 * <root>/layers/<slot>/  all that is kept of one layer (`LayerFolder`)
 * ```
 *
 * A *slot* is the small durable number of one layer served by one ztoc (`LayerIdentity`): the name of
 * its folder, and the high half of its nodeids. It is never given to another layer.
 *
 * Files are whole or not there. After an unclean stop of the machine nothing unproved is believed;
 * what is the truth about what is told in docs/restarts.md.
 *
 * It may touch those files, decode a ztoc and compile its tree. It must not know how a layer is shown,
 * how missing bytes come, or which snapshots use it.
 * @module
 */
export type { LayerIdentity } from "./identity.ts";
export {
  slotOf,
  type SlotRecord,
  SlotsExhaustedError,
  SlotTableStore,
} from "./slots.ts";
export {
  LayerFolder,
  type LayerFolderOptions,
  type OpenedFolder,
} from "./layer_folder.ts";
export { compileZtoc, type NewFile } from "./layer_files.ts";
export { LayerSaver } from "./saver.ts";
export { IdleLayerFolders } from "./idle.ts";
export { RootInUseError, takeLock } from "./lock.ts";
export { LyingZtocError, StateVersionError } from "./errors.ts";
