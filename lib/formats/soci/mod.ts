/**
 * SOCI's artifacts around the ztoc: the index that lists an image's ztocs (v1 and v2), how an image is
 * bound to its indexes (v2), and the prefetch list. What is written is byte for byte what the existing
 * tools write. The companion, which carries an index's ztocs compressed, is our own, and they ignore it. `lib/remote/image` finds the index of an image.
 * @module
 */
export {
  type Companion,
  compressedDescriptor,
  type CompressedZtoc,
  decodeCompanion,
  encodeCompanion,
} from "./companion.ts";
export {
  type ConvertedDocument,
  type ConvertedImage,
  type ConvertInput,
  convertV2,
  type Document,
} from "./convert.ts";
export { SociError, type SociErrorCode } from "./errors.ts";
export {
  decodeIndex,
  encodeIndex,
  isZtoc,
  layerOf,
  makeIndex,
  type MakeIndexOptions,
  prefetchForLayer,
  type SociIndex,
  type SociIndexVersion,
  spanSizeOf,
  xattrsAreDisabled,
  ztocDescriptor,
  type ZtocDescriptorOptions,
  ztocForLayer,
  ztocMediaType,
} from "./index.ts";
export {
  EMPTY_CONFIG,
  EMPTY_CONFIG_DIGEST,
  MAX_PREFETCH_BYTES,
  SOCI_ANNOTATION,
  SOCI_MEDIA,
} from "./names.ts";
export {
  cleanPath,
  decodePrefetch,
  encodePrefetch,
  findPrefetch,
  mergeSpanRanges,
  prefetchDescriptor,
  type SpanRange,
} from "./prefetch.ts";
export { hasNoXattrs } from "./xattrs.ts";
