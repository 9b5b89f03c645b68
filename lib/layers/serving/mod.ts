/**
 * The layers a process serves: opened for whoever needs them, shut when nobody does, found again after a
 * restart.
 *
 * A *slot* is the small durable number of one layer served by one ztoc: the name of its folder, and the
 * high half of its nodeids. It is not used for another layer while the kernel may remember it.
 *
 * It may use all rooms of this wing. It must not know images or snapshots: it hears that a slot is
 * wanted, and by which bytes.
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
