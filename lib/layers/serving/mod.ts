/**
 * Layers while they are served: one object for each (`OpenLayer`), a registry of those that are open
 * (`LayerStore`), and what happens to a layer without being asked for: it is filled in the background,
 * compared with its diff ID, given up when nothing uses it.
 *
 * A layer is opened by a ztoc whose digest was checked and a source of compressed bytes. From then on
 * it is a directory that containers use, and its missing bytes come as they are read.
 *
 * It may touch everything below a store's root, the mounts, and whatever a source reaches. It must
 * not know images: neither which one a layer belongs to, nor how its ztoc was found, nor which
 * snapshots are built on it. Whoever uses a layer says so (`add`, `release`).
 * @module
 */
export { LayerStore, type LayerStoreOptions } from "./layers.ts";
export type { LayerClaim } from "./claims.ts";
export { OpenLayer, type WantedLayer } from "./open_layer.ts";
export { LayerLifeError, type LayerState, type LayerStep } from "./life.ts";
export { ReadTimeoutError } from "./patient_reads.ts";
export { BackgroundFiller, type BackgroundOptions } from "./background.ts";
export { type LayerStatus, type StoreStatus, storeStatus } from "./status.ts";
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
export { type CollectedGarbage, collectGarbage } from "./gc.ts";
