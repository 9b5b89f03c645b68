/**
 * An image as it is at a place: what its name points to, its platforms, manifest and config, and which SOCI
 * index it has.
 *
 * It may read from any place of `lib/remote/content` and ask a registry for referrers. What it gives was
 * compared with its digest. It must not know what an image is wanted for, nor touch this machine.
 * @module
 */
export { CRI_LABELS, INDEX_DIGEST_LABEL } from "./labels.ts";
export {
  type DiscoveredIndex,
  discoverIndex,
  type DiscoverOptions,
  type IndexSource,
} from "./discover.ts";
export { ImageError } from "./errors.ts";
export { familyOf, type ImageFamily } from "./family.ts";
export {
  choosePlatforms,
  type PlatformChoice,
  type PlatformImage,
  PlatformNotFoundError,
  platformOfConfig,
  readFamily,
  readImage,
} from "./platform_images.ts";
export {
  fetchImage,
  imageOf,
  type ResolvedImage,
  resolveFamily,
  resolveImage,
} from "./image.ts";
