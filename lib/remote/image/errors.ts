/** An image cannot be pulled or served: what is wrong with which image or layer. */
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
