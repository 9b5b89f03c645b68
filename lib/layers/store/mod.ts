/**
 * What is on disk about layers. A lock lets only one process at a time use a root.
 *
 * ```text
 * <root>/lock            held by the process that owns all below (`takeLock`)
 * <root>/slots.db        which layer has which slot, who may have it, which ztocs lie (`SlotTableStore`)
 * <root>/slot-mark       the highest slot ever given, should that be lost (`openSlotTable`)
 * <root>/reserve         disk set aside for state (`DiskReserve`)
 * <root>/layers/<slot>/  all that is kept of one layer (`LayerFolder`)
 * ```
 *
 * A *slot* is the small durable number of one layer served by one ztoc (`LayerIdentity`): the name
 * of its folder, and the high half of its nodeids. It is never given to another layer.
 *
 * A file is either complete or absent. After an unclean stop of the machine, only what can be
 * verified is believed; docs/restarts.md says which record is the truth about what.
 *
 * It may touch those files, decode a ztoc and compile its tree. It must not know how a layer is
 * shown, how missing bytes are fetched, or which snapshots use it.
 * @module
 */
export type { LayerIdentity } from "./identity.ts";
export {
  NO_PACK,
  SHARED,
  slotOf,
  type SlotPlace,
  type SlotRecord,
  SlotsExhaustedError,
  SlotTableStore,
} from "./slots.ts";
export {
  type BegunFolder,
  type FolderParts,
  type KnownDiffId,
  LayerFolder,
} from "./layer_folder.ts";
export {
  type LayerParts,
  makeParts,
  makeRest,
  type PartsOrder,
  type RestOrder,
  type ZtocPlace,
  type ZtocRest,
} from "./layer_parts.ts";
export {
  type NewFile,
  type NewFiles,
  readTree,
  treeFileVersion,
} from "./layer_files.ts";
export { hasWholeData, wasEmptied } from "./whole_data.ts";
export {
  isKeptBlob,
  KEPT_UNUSED_MS,
  KeptBlobs,
  type TakenBlob,
} from "./kept_blobs.ts";
export { LayerSaver } from "./saver.ts";
export { FolderLower, writeChain } from "./chain_folder.ts";
export {
  type HandedOverSlots,
  openSlotTable,
  type SlotTablePlace,
} from "./open_slots.ts";
export type { SlotRow } from "./slot_files.ts";
export { DiskReserve } from "./reserve.ts";
export { IdleLayerFolders } from "./idle.ts";
export { isLockFree, RootInUseError, takeLock } from "./lock.ts";
export { LostZtocError, LyingZtocError, StateVersionError } from "./errors.ts";
