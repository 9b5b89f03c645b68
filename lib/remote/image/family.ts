import {
  type Descriptor,
  isIndexMediaType,
  parseIndex,
} from "../../formats/oci/mod.ts";

/** What an image's name or digest points to, and every image below it. */
export interface ImageFamily {
  /** Of the document itself: an index, or the single manifest. */
  readonly descriptor: Descriptor;
  /** The document's bytes. */
  readonly bytes: Uint8Array;
  /** Descriptors of runnable images, in order; SOCI indexes and attestations are left out. */
  readonly images: readonly Descriptor[];
  readonly isIndex: boolean;
}

/** Reads what a name points to. @throws ManifestError */
export function familyOf(
  descriptor: Descriptor,
  bytes: Uint8Array,
): ImageFamily {
  if (!isIndexMediaType(descriptor.mediaType)) {
    return { descriptor, bytes, images: [descriptor], isIndex: false };
  }
  const index = parseIndex(bytes, descriptor.mediaType);
  const images = index.manifests.filter(({ artifactType, platform }) =>
    artifactType === undefined && platform?.os !== "unknown"
  );
  return { descriptor, bytes, images, isIndex: true };
}
