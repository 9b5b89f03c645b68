import type { ImageSource, LayerSource } from "../content/mod.ts";
import {
  type Descriptor,
  formatPlatform,
  hostPlatform,
  type ImageManifest,
  matchPlatform,
  parseManifest,
  type Platform,
} from "../../formats/oci/mod.ts";
import { familyOf, type ImageFamily } from "./family.ts";

/** One image of one platform, at a place. */
export interface PlatformImage {
  /** Of the image manifest (not of an index above it). */
  readonly descriptor: Descriptor;
  readonly manifest: ImageManifest;
  /** The manifest as it was read. */
  readonly bytes: Uint8Array;
  /** From the index above, else from the config; null where neither says. */
  readonly platform: Platform | null;
}

/** The image has nothing for a platform. */
export class PlatformNotFoundError extends Error {
  override readonly name = "PlatformNotFoundError";
  constructor(readonly platform: Platform, offered: readonly string[]) {
    super(
      `image manifest for ${
        formatPlatform(platform)
      }: not found; the image has ${offered.join(", ") || "no platforms"}`,
    );
  }
}

/** What an image's name stands for, and the images below it. */
export async function readFamily(
  source: ImageSource,
  signal?: AbortSignal,
): Promise<ImageFamily> {
  const descriptor = await source.image({ signal });
  return familyOf(descriptor, await source.bytes(descriptor, { signal }));
}

/** Reads the manifest that a descriptor points to. @throws ManifestError and the source's errors */
export async function readImage(
  source: LayerSource,
  descriptor: Descriptor,
  signal?: AbortSignal,
): Promise<PlatformImage> {
  const bytes = await source.bytes(descriptor, { signal });
  const manifest = parseManifest(bytes, descriptor.mediaType);
  return {
    descriptor,
    manifest,
    bytes,
    platform: descriptor.platform ??
      await platformOfConfig(source, manifest.config, signal),
  };
}

/** The platform an image's config says it is for. */
export async function platformOfConfig(
  source: LayerSource,
  config: Descriptor,
  signal?: AbortSignal,
): Promise<Platform | null> {
  if (config.size > MAX_CONFIG_BYTES) return null;
  const bytes = await source.bytes(config, { signal });
  let value: Record<string, unknown>;
  try {
    value = Object(JSON.parse(new TextDecoder().decode(bytes)));
  } catch {
    return null; // no image config, so there is no platform to be known
  }
  const { os, architecture, variant } = value;
  if (typeof os !== "string" || typeof architecture !== "string") return null;
  return typeof variant === "string" && variant !== ""
    ? { os, architecture, variant }
    : { os, architecture };
}

const MAX_CONFIG_BYTES = 8 * 2 ** 20;

/** Which images of a family are meant. */
export interface PlatformChoice {
  /** Platforms asked for; none: this machine's, or the only one the image has. */
  readonly platforms?: readonly Platform[] | undefined;
  /** Every platform the image has. */
  readonly all?: boolean | undefined;
}

/**
 * The images that a choice means, in the order asked for.
 * @throws PlatformNotFoundError
 */
export async function choosePlatforms(
  source: LayerSource,
  family: ImageFamily,
  { platforms, all = false }: PlatformChoice,
  signal?: AbortSignal,
): Promise<readonly Descriptor[]> {
  const { images } = family;
  if (platforms === undefined && (all || images.length === 1)) return images;
  if (all) return images;
  const known = await Promise.all(images.map(async (image) => ({
    image,
    platform: image.platform ??
      (await readImage(source, image, signal)).platform,
  })));
  const chosen = (platforms ?? [hostPlatform()]).map((wanted) => {
    const found = known.find(({ platform }) =>
      platform !== null && matchPlatform(wanted, platform)
    );
    if (found !== undefined) return found.image;
    throw new PlatformNotFoundError(
      wanted,
      known.map(({ platform }) =>
        platform === null ? "unknown" : formatPlatform(platform)
      ),
    );
  });
  return [...new Set(chosen)];
}
