import { type Digest, parseDigest } from "../oci/mod.ts";

/** Media and artifact types of SOCI. */
export const SOCI_MEDIA = {
  indexV1: "application/vnd.amazon.soci.index.v1+json",
  indexV2: "application/vnd.amazon.soci.index.v2+json",
  /** A ztoc has no media type of its own. */
  ztoc: "application/octet-stream",
  prefetch: "application/vnd.amazon.soci.prefetch.v1+json",
  /** A ztoc of a zstd layer, which the existing tools do not know. */
  ztocOfZstd: "application/vnd.soci-deno.ztoc.zstd.v1",
  /** The companion of an index: its ztocs, compressed. The existing tools do not know it. */
  companion: "application/vnd.soci-deno.companion.v1",
  /** A ztoc in it. */
  compressedZtoc: "application/vnd.soci-deno.ztoc.v1+zstd",
  /** A ztoc in it in two parts, one behind the other: what a mount needs, and the windows. */
  compressedParts: "application/vnd.soci-deno.ztoc-parts.v1+zstd",
} as const;

/** Annotation keys of SOCI. */
export const SOCI_ANNOTATION = {
  /** On a ztoc: the media type of its layer. */
  layerMediaType: "com.amazon.soci.image-layer-mediaType",
  /** On a ztoc or prefetch list: the digest of its layer. */
  layerDigest: "com.amazon.soci.image-layer-digest",
  /**
   * The same where the layer is zstd. The existing daemon takes whatever names a layer by its own key for
   * that layer's ztoc: so it does not see these.
   */
  zstdLayerDigest: "soci-deno.image-layer-digest",
  /** On a ztoc: the span size asked for, in decimal. */
  spanSize: "com.amazon.soci.span-size",
  /** On a ztoc, `"true"`: the layer holds no extended attributes. */
  disableXattrs: "com.amazon.soci.disable-xattrs",
  /** On an index: what made it. */
  buildTool: "com.amazon.soci.build-tool-identifier",
  /** On an image manifest and its descriptor: the digest of its SOCI index (v2). */
  indexDigest: "com.amazon.soci.index-digest",
  /** On a SOCI index's descriptor: the digest of its image manifest (v2). */
  imageManifestDigest: "com.amazon.soci.image-manifest-digest",
  /** On a companion: the digest of the index whose ztocs it carries. */
  companionOf: "soci-deno.index-digest",
  /** On an index v2: the digest of its companion's manifest. */
  companion: "soci-deno.companion",
  /** On a ztoc of a companion: the digest of the ztoc itself. */
  ztocDigest: "soci-deno.ztoc-digest",
  /** On one in two parts: the bytes of the first part, a space, and their digest. */
  ztocHead: "soci-deno.ztoc-head",
} as const;

/** The config blob of every SOCI index. */
export const EMPTY_CONFIG: Uint8Array = new TextEncoder().encode("{}");
/** The digest of {@link EMPTY_CONFIG}. It stands here because to work it out loads Node's module for digests. */
export const EMPTY_CONFIG_DIGEST: Digest = parseDigest(
  "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
);
/** The largest SOCI index we read. */
export const MAX_INDEX_BYTES = 4 * 2 ** 20;
/** The largest prefetch list we read. */
export const MAX_PREFETCH_BYTES = 2 ** 20;
