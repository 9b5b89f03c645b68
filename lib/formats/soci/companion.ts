import { Buffer } from "node:buffer";
import {
  type Descriptor,
  descriptorJson,
  type Digest,
  documentBytes,
  type ImageManifest,
  isDigest,
  MEDIA,
  parseManifest,
} from "../oci/mod.ts";
import { SociError } from "./errors.ts";
import { isZtoc, type SociIndex } from "./index.ts";
import {
  EMPTY_CONFIG,
  EMPTY_CONFIG_DIGEST,
  SOCI_ANNOTATION,
  SOCI_MEDIA,
} from "./names.ts";

/** A compressed ztoc of this many bytes or fewer lies in the manifest itself, so it costs no request. */
const MAX_INLINE_BYTES = 4096;
/** The most bytes that a manifest holds so. They are kept as long as the image is. */
const MAX_INLINE_IN_ALL = 64 * 1024;

/** One compressed ztoc of a companion. */
export interface CompressedZtoc extends Pick<Descriptor, "digest" | "size"> {
  /** The compressed bytes, where they are here: the manifest itself holds those of small ones. */
  readonly bytes: Uint8Array | null;
  /**
   * Where it comes in two parts: the first bytes of the blob, which are the ztoc's head, compressed by
   * themselves. The others are its windows.
   */
  readonly head?: Pick<Descriptor, "digest" | "size">;
}

/** The companion of an index: the same ztocs, each compressed with zstd by itself. */
export interface Companion {
  /** Compressed ztocs, as {@link compressedDescriptor} makes them. */
  readonly ztocs: readonly Descriptor[];
  /** The image manifest that it is a referrer of. One that an index v2 names has none. */
  readonly subject?: Pick<Descriptor, "mediaType" | "digest" | "size">;
  /** The index whose ztocs these are; the one that names its companion is not named. */
  readonly index?: Digest;
}

/** The descriptor of a compressed ztoc in a companion. @param ztoc the digest of the ztoc itself */
export function compressedDescriptor(
  ztoc: Digest,
  { digest, size, bytes, head }: CompressedZtoc,
): Descriptor {
  return {
    mediaType: head === undefined
      ? SOCI_MEDIA.compressedZtoc
      : SOCI_MEDIA.compressedParts,
    digest,
    size,
    annotations: {
      [SOCI_ANNOTATION.ztocDigest]: ztoc,
      ...(head !== undefined &&
        { [SOCI_ANNOTATION.ztocHead]: `${head.size} ${head.digest}` }),
    },
    ...(bytes !== null && size <= MAX_INLINE_BYTES &&
      { data: Buffer.from(bytes).toString("base64") }),
  };
}

/** Writes a companion's manifest. The same facts give the same bytes. */
export function encodeCompanion(
  { ztocs, subject, index }: Companion,
): Uint8Array {
  let inline = 0;
  const layers = ztocs.map((one) => {
    if (one.data === undefined) return one;
    inline += one.size;
    if (inline <= MAX_INLINE_IN_ALL) return one;
    const { data: _, ...rest } = one;
    return rest;
  });
  return documentBytes({
    schemaVersion: 2,
    mediaType: MEDIA.ociManifest,
    artifactType: SOCI_MEDIA.companion,
    config: descriptorJson({
      mediaType: MEDIA.ociEmpty,
      digest: EMPTY_CONFIG_DIGEST,
      size: EMPTY_CONFIG.length,
    }),
    layers: layers.map(descriptorJson),
    ...(subject && {
      subject: descriptorJson({
        mediaType: subject.mediaType,
        digest: subject.digest,
        size: subject.size,
      }),
    }),
    ...(index && { annotations: { [SOCI_ANNOTATION.companionOf]: index } }),
  });
}

/**
 * Reads a companion from an untrusted place: only what it says of ztocs that the index names, and only
 * where it is smaller than the ztoc. Whether it holds that ztoc shows when it is decompressed.
 * @returns by the ztoc's digest; of several that claim to be one, the first.
 * @throws SociError, ManifestError
 */
export function decodeCompanion(
  bytes: Uint8Array,
  of: { readonly index: SociIndex; readonly image: Digest },
): ReadonlyMap<Digest, CompressedZtoc> {
  const manifest: ImageManifest = parseManifest(bytes);
  if (manifest.artifactType !== SOCI_MEDIA.companion) {
    throw new SociError("invalid", "it is no companion of a SOCI index");
  }
  const { subject } = manifest;
  if (subject !== undefined && subject.digest !== of.image) {
    throw new SociError("invalid", "the companion is of another image");
  }
  const sizes = new Map(
    of.index.layers.filter(isZtoc).map(({ digest, size }) => [digest, size]),
  );
  const found = new Map<Digest, CompressedZtoc>();
  let inline = 0;
  for (const one of manifest.layers) {
    const ztoc = one.annotations?.[SOCI_ANNOTATION.ztocDigest];
    const head = headOf(one);
    if (head === "unusable" || !isDigest(ztoc)) continue;
    const { digest, size } = one;
    if (size === 0 || size >= (sizes.get(ztoc) ?? 0) || found.has(ztoc)) {
      continue;
    }
    let held: Uint8Array | null = null;
    if (one.data !== undefined && size <= MAX_INLINE_BYTES) {
      const data = Buffer.from(one.data, "base64");
      if (data.length === size && (inline += size) <= MAX_INLINE_IN_ALL) {
        held = new Uint8Array(data); // not a view of a pool
      }
    }
    found.set(ztoc, {
      ...{ digest, size, bytes: held },
      ...(head !== "in one" && { head }),
    });
  }
  return found;
}

/** What an entry says of its first part. */
function headOf(
  { mediaType, size, annotations }: Descriptor,
): Pick<Descriptor, "digest" | "size"> | "in one" | "unusable" {
  if (mediaType === SOCI_MEDIA.compressedZtoc) return "in one";
  if (mediaType !== SOCI_MEDIA.compressedParts) return "unusable";
  const said = annotations?.[SOCI_ANNOTATION.ztocHead] ?? "";
  const [, bytes, digest] = /^([1-9]\d{0,9}) (\S{1,100})$/.exec(said) ?? [];
  return isDigest(digest) && Number(bytes) < size
    ? { digest, size: Number(bytes) }
    : "unusable";
}
