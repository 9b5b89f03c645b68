/**
 * TODO
 * @module
 */
export { BackgroundFiller, type BackgroundOptions } from "./background.ts";
export {
  type CacheFigures,
  type FetchFigures,
  LayerStore,
  type LayerStoreOptions,
  type OpenLayer,
  slotOf,
} from "./layers.ts";
export { type CollectedGarbage, collectGarbage } from "./gc.ts";
export { type LayerStatus, type StoreStatus, storeStatus } from "./status.ts";
export { ReadTimeoutError } from "./patient_reads.ts";
