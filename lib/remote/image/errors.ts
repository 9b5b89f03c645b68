import { formatPlatform, type Platform } from "../../formats/oci/mod.ts";

/** An image cannot be pulled or served: what is wrong with which image or layer. */
export class ImageError extends Error {
  static {
    this.prototype.name = "ImageError";
  }
  /** Names image and layer, and then what is wrong with them. */
  constructor(
    /** As a person would name it. */
    readonly image: string,
    /** null: it is not one layer's matter. */
    readonly layerDigest: string | null,
    detail: string,
    options?: ErrorOptions,
  ) {
    super(
      layerDigest === null
        ? `image ${image}: ${detail}`
        : `image ${image} layer ${layerDigest}: ${detail}`,
      options,
    );
  }
}

/** The image has nothing for a platform. */
export class PlatformNotFoundError extends Error {
  static {
    this.prototype.name = "PlatformNotFoundError";
  }
  /** Says both. */
  constructor(
    /** What was asked for. */
    readonly platform: Platform,
    /** What there is; null where neither the index nor the config says. */
    readonly offered: readonly (Platform | null)[],
  ) {
    const names = offered.map((platform) =>
      platform === null ? "unknown" : formatPlatform(platform)
    );
    super(
      `image manifest for ${
        formatPlatform(platform)
      }: not found; the image has ${
        names.join(", ") || "no platforms"
      } (choose with --platform)`,
    );
  }
}
