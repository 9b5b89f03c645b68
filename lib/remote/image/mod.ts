/**
 * One model of an image at a place: what its name stands for, the image of a platform, its manifest and
 * config, its layers with their diff IDs and chain IDs, the labels that describe them to a snapshotter,
 * and its index.
 *
 * ```text
 * ImageSource ──readFamily──► ImageFamily ──one, choose──► Image ──layers──► ImageLayer (by position)
 *                                  │                          │
 *                         members, images             manifest, config (each read once)
 * registry, manifest digest ──readIndexedImage──► IndexedImage: Image, layers, index
 * ```
 *
 * It works with every place of `content`, and with the registry client where only a registry can answer
 * (referrers). It may read from places and registries; it writes nothing. It must not know what its
 * images are used for: no served layer, no snapshot, no containerd. All input is untrusted: the places
 * check bytes against their digests, and this room checks what the documents say before anything uses
 * it.
 * @module
 */
export { chainIdOf } from "./chain.ts";
export { type Document, Image, type ImageLayer } from "./image.ts";
export { ImageFamily, type PlatformChoice, readFamily } from "./family.ts";
export { type ImageConfig } from "./config.ts";
export {
  type IndexedImage,
  layerOfChain,
  readIndexedImage,
  resolveIndexedImage,
  ztocOf,
} from "./indexed.ts";
export { type BesideIndex, type FoundOrder } from "./beside.ts";
export {
  type DiscoveredIndex,
  discoverIndex,
  type DiscoverOptions,
  type IndexSource,
} from "./discover.ts";
export {
  CRI_LABELS,
  IMAGE_POLICIES,
  type ImagePolicy,
  isImagePolicy,
  type LayerIdentity,
  layerIdentity,
  layerLabels,
  POLICY_LABEL,
  WORKLOAD_LABEL,
} from "./labels.ts";
export { ImageError, PlatformNotFoundError } from "./errors.ts";
