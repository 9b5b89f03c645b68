/**
 * Images served lazily: which layers are served, under which slots, from which registry.
 *
 * A *slot* is the small durable number of one layer served by one ztoc: the name of its directory
 * under the FUSE mount and the high half of its nodeids. `LayerStore` owns the layers of a process;
 * `ImageService` finds out what an image's layers are served by and puts them into the store.
 * @module
 */
export { LyingZtocError, StateVersionError } from "./errors.ts";
export { mountOverlay, unmountOverlay } from "./overlay.ts";
export {
  type DiscoveryOptions,
  ImageService,
  type IndexedImage,
  RegistrySpanSource,
} from "./service.ts";
export {
  type SlotRecord,
  SlotsExhaustedError,
  SlotTableStore,
} from "./slots.ts";
export {
  type CacheFigures,
  type FetchFigures,
  LayerStore,
  type LayerStoreOptions,
  type OpenLayer,
} from "./store.ts";
export { BackgroundFiller, type BackgroundOptions } from "./background.ts";
export { ImageLayerProvider, type ProviderOptions } from "./provider.ts";
export { type CollectedGarbage, collectGarbage } from "./gc.ts";
export { RootInUseError } from "./lock.ts";
export { warmUp } from "./warm_up.ts";
export { warmUpRegistry } from "./warm_up_registry.ts";
export { type LayerStatus, type StoreStatus, storeStatus } from "./status.ts";
export { ReadTimeoutError } from "./patient_reads.ts";
