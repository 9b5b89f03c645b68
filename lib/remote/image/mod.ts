/**
 * TODO
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
