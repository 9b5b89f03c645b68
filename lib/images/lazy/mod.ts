/**
 * Images served lazily: from what containerd says about a layer to a directory that shows it.
 *
 * `ImageService` finds an image's index at its registry and opens its layers: by ztoc where the index has
 * one, else downloaded whole. The snapshotter asks `ImageLayerProvider`. It knows which layers are open,
 * opens an image's other layers ahead of need, and releases layers that no snapshot uses.
 *
 * It may ask registries (through `remote/image` and the registry client), and it opens layers in the store
 * of `layers/serving`. It must not know how bytes are kept, fetched or shown. It knows no more of snapshots
 * than the snapshotter's `LayerProvider`, and nothing of containerd.
 * @module
 */
export { ConnectionChecks, type UsedLayer } from "./connection_checks.ts";
export type { Claimant, Claimants } from "./claimants.ts";
export { ImageService } from "./open.ts";
export type { ByManifestOptions, DiscoveryOptions } from "./images.ts";
export {
  type ImageDirectories,
  imageDirectories,
} from "./image_directories.ts";
export { ImageLayerProvider, type ProviderOptions } from "./provider.ts";
export type { ImagePolicies, PolicyDecision } from "./policies.ts";
export type { PrefetchOptions } from "./prefetch_lists.ts";
export type { RegistryBlobs, RegistrySpanSource } from "./source.ts";
export {
  FAST_LIMITS,
  MAX_CHUNK_BYTES,
  type WholeLimits,
} from "./whole_limits.ts";
export type {
  Decompressors,
  IndexMissing,
  ProvenBlob,
  WholeOptions,
  WholeRule,
} from "./whole_options.ts";
export type { LayerProgress, WholeProgress } from "./whole_progress.ts";
export type { WholeStream } from "./whole_stream.ts";
