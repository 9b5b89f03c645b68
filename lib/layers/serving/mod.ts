/**
 * Layers while they are served: one object for each (`OpenLayer`), the table of those that are open
 * (`LayerStore`), and work that nobody asks for: filling a layer in the background, comparing it with its
 * diff ID, and giving it up when nothing uses it.
 *
 * A layer is opened with a ztoc whose digest was checked, and a source of compressed bytes. From then on it
 * is a directory that containers use; missing bytes are fetched when they are read.
 *
 * It may touch everything below a store's root, the mounts, and whatever a source reaches. It must not know
 * images: not the image of a layer, not how its ztoc was found, not the snapshots that use it. Users of a
 * layer call `add` and `release`.
 * @module
 */
export type { WaitFigures } from "./patient_reads.ts";
export { NO_PACK } from "../store/mod.ts";
export type { LayerClaim } from "./claims.ts";
export {
  type ArrivedZtoc,
  FalseHeadError,
  LateZtoc,
  type LateZtocHandlers,
  type LateZtocPlace,
  type LateZtocState,
} from "./late_ztoc.ts";
export {
  type AddOptions,
  LayerStore,
  type LayerStoreOptions,
} from "./layers.ts";
export { OpenLayer } from "./open_layer.ts";
export {
  type ProvenLayer,
  WholeLayers,
  type WholeLayersOptions,
} from "./whole_layers.ts";
export { AheadOfReaders, type LayerRange } from "./prefetched.ts";
export { LayerPack, type PackParts, type PackUse } from "./layer_pack.ts";
export { StartPacks } from "./start_packs.ts";
export type { WantedLayer } from "./wanted.ts";
export type { Proof } from "./proof.ts";
export type { Twin } from "./twins.ts";
export { LayerLifeError, type LayerState, type LayerStep } from "./life.ts";
export { ZtocRoomError } from "./ztoc_room.ts";
export { ReadTimeoutError } from "./patient_reads.ts";
export { BackgroundFiller, type BackgroundOptions } from "./background.ts";
export {
  type LayerStatus,
  type PackFigures,
  type StoreStatus,
  storeStatus,
} from "./status.ts";
export {
  type CacheFigures,
  type FetchFigures,
  type MachineryOptions,
} from "./machinery.ts";
export {
  abandonMounts,
  assertLayersUnderstood,
  type StartOptions,
} from "./start.ts";
export { layerBytesOnDisk } from "./bytes_on_disk.ts";
export { rehearse } from "./rehearsal.ts";
export { type CollectedGarbage, collectGarbage } from "./gc.ts";
