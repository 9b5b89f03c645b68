import {
  type Descriptor,
  formatPlatform,
  type ImageManifest,
  matchPlatform,
  parseManifest,
  type Platform,
} from "../../formats/oci/mod.ts";
import type { Reference, RegistryClient } from "../registry/mod.ts";
import { familyOf, type ImageFamily } from "./family.ts";
import { ImageError } from "./errors.ts";

/** One image of one platform, as its registry has it. */
export interface ResolvedImage {
  readonly reference: Reference;
  readonly platform: Platform | null;
  /** Of the image manifest (not of an index above it). */
  readonly descriptor: Descriptor;
  readonly manifest: ImageManifest;
  /** The manifest as it was served. */
  readonly bytes: Uint8Array;
}

/** @throws RegistryError, ManifestError */
export async function resolveFamily(
  client: RegistryClient,
  reference: Reference,
): Promise<ImageFamily> {
  const { bytes, descriptor } = await client.manifest(reference);
  return familyOf(descriptor, bytes);
}

/** The image of a reference for one platform. @throws ImageError, RegistryError, ManifestError */
export async function resolveImage(
  client: RegistryClient,
  reference: Reference,
  platform: Platform,
): Promise<ResolvedImage> {
  const family = await resolveFamily(client, reference);
  return await imageOf(client, reference, family, platform);
}

/** The image of a family for one platform. @throws ImageError, RegistryError, ManifestError */
export async function imageOf(
  client: RegistryClient,
  reference: Reference,
  family: ImageFamily,
  platform: Platform,
): Promise<ResolvedImage> {
  if (!family.isIndex) {
    const { descriptor, bytes } = family;
    return {
      reference,
      platform: null,
      descriptor,
      manifest: parseManifest(bytes, descriptor.mediaType),
      bytes,
    };
  }
  const found = family.images.find((image) =>
    image.platform !== undefined && matchPlatform(platform, image.platform)
  );
  if (found === undefined) {
    const offered = family.images.map(({ platform }) =>
      platform === undefined ? "unknown" : formatPlatform(platform)
    );
    throw new ImageError(
      reference.toString(),
      null,
      `has no image for ${formatPlatform(platform)}; it has ${
        offered.join(", ") || "none"
      } (choose with --platform)`,
    );
  }
  return await fetchImage(client, reference, found);
}

/** Fetches the manifest that `descriptor` points to. @throws RegistryError, ManifestError */
export async function fetchImage(
  client: RegistryClient,
  reference: Reference,
  descriptor: Descriptor,
  signal?: AbortSignal,
): Promise<ResolvedImage> {
  const { bytes, descriptor: served } = await client.manifest(
    reference.withDigest(descriptor.digest),
    { signal },
  );
  return {
    reference,
    platform: descriptor.platform ?? null,
    descriptor: { ...served, mediaType: served.mediaType },
    manifest: parseManifest(bytes, served.mediaType),
    bytes,
  };
}
