/**
 * Images served lazily: which layers are served, under which slots, from which registry.
 *
 * A *slot* is the small durable number of one layer served by one ztoc: the name of its directory
 * under the FUSE mount and the high half of its nodeids. `LayerStore` owns the layers of a process;
 * `ImageService` finds out what an image's layers are served by and puts them into the store.
 * @module
 */

export {
  type DiscoveryOptions,
  ImageService,
  type IndexedImage,
  RegistrySpanSource,
} from "./open.ts";

export { ImageLayerProvider, type ProviderOptions } from "./provider.ts";
