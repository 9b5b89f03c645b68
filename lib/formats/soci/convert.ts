import {
  annotationsJson,
  type Descriptor,
  descriptorJson,
  type Digest,
  documentBytes,
  type ImageIndex,
  type ImageManifest,
  isIndexMediaType,
  isManifestMediaType,
  MEDIA,
  parseIndex,
  parseManifest,
  type Platform,
  platformKey,
  sha256,
} from "../oci/mod.ts";
import { SociError } from "./errors.ts";
import { decodeIndex } from "./index.ts";
import { SOCI_ANNOTATION, SOCI_MEDIA } from "./names.ts";

/** A manifest or index with its bytes. */
export interface Document {
  /** Which kind of manifest or index the bytes are. */
  readonly mediaType: string;
  /** The exact bytes that the digest covers; never serialise them again. */
  readonly bytes: Uint8Array;
}

/** What {@link convertV2} starts from. */
export interface ConvertInput {
  /** The image: a manifest, or an index of several; Docker or OCI. */
  readonly source: Document;
  /** When the source is a manifest: the platform its config says. */
  readonly platform?: Platform;
  /** When the source is an index: the bytes of its manifests, as far as they are here. */
  readonly manifests?: ReadonlyMap<Digest, Uint8Array>;
  /** The bytes of SOCI indexes v2, by the digest of the image manifest each was made for. */
  readonly sociIndexes: ReadonlyMap<Digest, Uint8Array>;
  /**
   * What is listed behind the SOCI indexes, because they name it: companions and load orders. All that an
   * earlier conversion listed of the same artifact type and platform makes way, and so do companions of SOCI
   * indexes that are replaced.
   */
  readonly beside?: readonly Descriptor[];
  /** What becomes of manifests that are not among `manifests`. Default `keep`. */
  readonly missing?: "keep" | "drop";
}

/** A document made by the conversion. */
export interface ConvertedDocument extends Document {
  /** How others refer to the document. */
  readonly descriptor: Descriptor;
}

/** An image bound to its SOCI indexes. Push blobs, SOCI indexes and manifests before the index. */
export interface ConvertedImage {
  /** The image index that names everything else; what a tag is to point to. */
  readonly index: ConvertedDocument;
  /** Image manifests that changed, by the digest they had. */
  readonly manifests: ReadonlyMap<Digest, ConvertedDocument>;
  /** The SOCI indexes, with the descriptors the image index holds. */
  readonly sociIndexes: readonly ConvertedDocument[];
}

/** How BuildKit binds an attestation to its image manifest, inside one image index. */
const ATTESTATION_OF = "vnd.docker.reference.digest";

/**
 * Makes the image index that binds an image to its SOCI indexes (v2): each indexed manifest names its
 * SOCI index, and the image index lists the SOCI indexes after the images. Layers and configs stay as
 * they are. Converting the result again with the same SOCI indexes gives the same bytes.
 * @throws SociError when no manifest of the image has an index; ManifestError for broken documents.
 */
export function convertV2(input: ConvertInput): ConvertedImage {
  const start = startIndex(input);
  const converted = new Map<Digest, ConvertedDocument>();
  const sociIndexes: ConvertedDocument[] = [];
  const here = input.missing === "drop"
    ? start.index.manifests.filter(({ digest }) => start.manifests.has(digest))
    : start.index.manifests;
  const manifests = here.map((child) => {
    const bytes = start.manifests.get(child.digest);
    if (bytes === undefined || !isImage(child)) return child;
    const sociBytes = input.sociIndexes.get(child.digest);
    const soci = sociBytes && sociDocument(sociBytes, child.platform);
    const document = convertManifest(child, bytes, soci?.descriptor.digest);
    if (document === null) return child;
    converted.set(child.digest, document);
    if (soci !== undefined) {
      sociIndexes.push(nameImage(soci, document.descriptor.digest));
    }
    return document.descriptor;
  });
  if (sociIndexes.length === 0) {
    throw new SociError("empty", "no manifest of the image has a SOCI index");
  }
  const { beside = [] } = input;
  const bound = manifests.map((child) => moveAttestation(child, converted))
    .filter((child) => !beside.some((one) => isSameKind(one, child)))
    .filter((child) => !isReplaced(child, sociIndexes));
  for (const { descriptor } of sociIndexes) placeSociIndex(bound, descriptor);
  bound.push(...beside);
  const bytes = documentBytes({
    schemaVersion: 2,
    mediaType: MEDIA.ociIndex,
    ...(start.index.artifactType && {
      artifactType: start.index.artifactType,
    }),
    manifests: bound.map(descriptorJson),
    ...(start.index.subject && {
      subject: descriptorJson(start.index.subject),
    }),
    ...annotationsJson(start.index.annotations),
  });
  return {
    index: document(MEDIA.ociIndex, bytes),
    manifests: converted,
    sociIndexes,
  };
}

function document(
  mediaType: string,
  bytes: Uint8Array,
  more: Omit<Partial<Descriptor>, "mediaType" | "digest" | "size"> = {},
): ConvertedDocument {
  const digest = sha256(bytes);
  return {
    mediaType,
    bytes,
    descriptor: { mediaType, digest, size: bytes.length, ...more },
  };
}

function startIndex(
  { source, platform, manifests }: ConvertInput,
): {
  readonly index: ImageIndex;
  readonly manifests: ReadonlyMap<Digest, Uint8Array>;
} {
  if (isIndexMediaType(source.mediaType)) {
    return {
      index: parseIndex(source.bytes, source.mediaType),
      manifests: manifests ?? new Map(),
    };
  }
  const { descriptor } = document(source.mediaType, source.bytes, {
    ...(platform && { platform }),
  });
  return {
    index: {
      schemaVersion: 2,
      mediaType: MEDIA.ociIndex,
      manifests: [descriptor],
    },
    manifests: new Map([[descriptor.digest, source.bytes]]),
  };
}

/** SOCI indexes have the media type of an image; their artifact type tells them apart. */
function isImage({ mediaType, artifactType }: Descriptor): boolean {
  return isManifestMediaType(mediaType) &&
    artifactType !== SOCI_MEDIA.indexV2 && artifactType !== SOCI_MEDIA.indexV1;
}

/** The manifest in OCI form, naming its index; null when it needs no change. */
function convertManifest(
  child: Descriptor,
  bytes: Uint8Array,
  sociDigest: Digest | undefined,
): ConvertedDocument | null {
  const manifest = parseManifest(bytes, child.mediaType);
  if (
    sociDigest === undefined && manifest.mediaType === MEDIA.ociManifest &&
    child.mediaType === MEDIA.ociManifest
  ) return null;
  const annotations = {
    ...manifest.annotations,
    ...(sociDigest && { [SOCI_ANNOTATION.indexDigest]: sociDigest }),
  };
  // Of the old descriptor only what still holds: embedded data, say, would be of other bytes.
  return document(
    MEDIA.ociManifest,
    encodeManifest({ ...manifest, annotations }),
    {
      ...(Object.keys(annotations).length > 0 && { annotations }),
      ...(child.platform && { platform: child.platform }),
      ...(child.artifactType && { artifactType: child.artifactType }),
    },
  );
}

function encodeManifest(manifest: ImageManifest): Uint8Array {
  const config = manifest.config.mediaType === MEDIA.dockerConfig
    ? { ...manifest.config, mediaType: MEDIA.ociConfig }
    : manifest.config;
  return documentBytes({
    schemaVersion: 2,
    mediaType: MEDIA.ociManifest,
    ...(manifest.artifactType && { artifactType: manifest.artifactType }),
    config: descriptorJson(config),
    layers: manifest.layers.map(descriptorJson),
    ...(manifest.subject && { subject: descriptorJson(manifest.subject) }),
    ...annotationsJson(manifest.annotations),
  });
}

function sociDocument(
  bytes: Uint8Array,
  platform: Platform | undefined,
): ConvertedDocument {
  if (decodeIndex(bytes).version !== 2) {
    throw new SociError("invalid", "only SOCI indexes v2 can be bound");
  }
  return document(MEDIA.ociManifest, bytes, {
    ...(platform && { platform }),
    artifactType: SOCI_MEDIA.indexV2,
  });
}

function nameImage(soci: ConvertedDocument, image: Digest): ConvertedDocument {
  const annotations = { [SOCI_ANNOTATION.imageManifestDigest]: image };
  return { ...soci, descriptor: { ...soci.descriptor, annotations } };
}

function moveAttestation(
  child: Descriptor,
  converted: ReadonlyMap<Digest, ConvertedDocument>,
): Descriptor {
  const of = child.annotations?.[ATTESTATION_OF] as Digest | undefined;
  const image = of === undefined ? undefined : converted.get(of);
  return image === undefined ? child : {
    ...child,
    annotations: {
      ...child.annotations,
      [ATTESTATION_OF]: image.descriptor.digest,
    },
  };
}

function isSameKind(one: Descriptor, other: Descriptor): boolean {
  return one.artifactType !== undefined &&
    one.artifactType === other.artifactType &&
    platformKey(one.platform) === platformKey(other.platform);
}

/** Whether a companion is of a SOCI index that goes: it carries other ztocs. */
function isReplaced(
  { artifactType, platform }: Descriptor,
  sociIndexes: readonly ConvertedDocument[],
): boolean {
  return artifactType === SOCI_MEDIA.companion &&
    sociIndexes.some(({ descriptor }) =>
      platformKey(descriptor.platform) === platformKey(platform)
    );
}

/** Puts a SOCI index where an older one of its platform was, or at the end. */
function placeSociIndex(manifests: Descriptor[], soci: Descriptor): void {
  const place = manifests.findIndex((child) =>
    child.artifactType === SOCI_MEDIA.indexV2 &&
    platformKey(child.platform) === platformKey(soci.platform)
  );
  if (place < 0) manifests.push(soci);
  else manifests[place] = soci;
}
