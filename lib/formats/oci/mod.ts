/**
 * The OCI and Docker image formats: digests, descriptors, manifests, indexes, platforms, media
 * types. Everything read here comes from outside and is checked before it is used.
 * @module
 */
export { type Digest, DigestError, isDigest, parseDigest } from "./digest.ts";
export { DigestStream, sha256 } from "./sha256.ts";
export { sha256InSteps, updateInSteps } from "./digest_in_steps.ts";
export {
  annotationsJson,
  descriptorJson,
  documentBytes,
  platformKey,
} from "./document.ts";
export {
  bareMediaType,
  documentMediaType,
  isSchema1MediaType,
} from "./document_type.ts";
export { canonicalJson } from "./json.ts";
export {
  type Descriptor,
  type ImageIndex,
  type ImageManifest,
  type IndexEntries,
  ManifestError,
  MAX_DESCRIPTORS,
  MAX_MANIFEST_BYTES,
  parseDescriptor,
  parseIndex,
  parseManifest,
  readIndexEntries,
} from "./manifest.ts";
export {
  isIndexMediaType,
  isManifestMediaType,
  type LayerCompression,
  layerCompression,
  MEDIA,
} from "./media.ts";
export {
  formatPlatform,
  hostPlatform,
  matchPlatform,
  parsePlatform,
  type Platform,
  PlatformError,
} from "./platform.ts";
