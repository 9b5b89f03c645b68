/** An image cannot be served: what is wrong with which image or layer. */
export class ImageError extends Error {
  override readonly name = "ImageError";
  constructor(
    readonly image: string,
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

/** State on disk was written by a release that does it another way. Nothing was changed. */
export class StateVersionError extends Error {
  override readonly name = "StateVersionError";
  constructor(readonly path: string, detail: string) {
    super(`${path}: ${detail}`);
  }
}

/** A ztoc was found to lie about its layer, now or earlier: it is not used again. */
export class LyingZtocError extends Error {
  override readonly name = "LyingZtocError";
  constructor(
    readonly layerDigest: string,
    readonly ztocDigest: string,
    reason: string,
  ) {
    super(`ztoc ${ztocDigest} lies about layer ${layerDigest}: ${reason}`);
  }
}
