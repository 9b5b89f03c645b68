/**
 * Images served lazily: from what containerd says of a layer to a directory that shows it.
 *
 * `ImageService` finds an image's index at its registry and opens its layers: by ztoc where the index has
 * one, else downloaded whole. `ImageLayerProvider` is what the snapshotter asks: it knows which layers are
 * open, opens an image's other layers ahead, and lets go of what no snapshot uses.
 *
 * It may ask registries (through `remote/image` and the registry client) and puts layers into the store
 * of `layers/serving`. It must not know how bytes are kept, fetched or shown, nor of snapshots beyond the
 * snapshotter's `LayerProvider`, nor of containerd.
 * @module
 */
export type { Claimant, Claimants } from "./claimants.ts";
export type { Trust } from "./trust.ts";
export { ImageService } from "./open.ts";
export type { ByManifestOptions, DiscoveryOptions } from "./images.ts";
export { ImageLayerProvider, type ProviderOptions } from "./provider.ts";
export type { RegistryBlobs, RegistrySpanSource } from "./source.ts";
export type { WholeStream } from "./whole_stream.ts";
