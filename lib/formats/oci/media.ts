/** Media types of the Docker and OCI image formats. */
export const MEDIA = {
  ociIndex: "application/vnd.oci.image.index.v1+json",
  ociManifest: "application/vnd.oci.image.manifest.v1+json",
  ociConfig: "application/vnd.oci.image.config.v1+json",
  /** The config of an artifact: `{}`. */
  ociEmpty: "application/vnd.oci.empty.v1+json",
  ociLayer: "application/vnd.oci.image.layer.v1.tar",
  ociLayerGzip: "application/vnd.oci.image.layer.v1.tar+gzip",
  ociLayerZstd: "application/vnd.oci.image.layer.v1.tar+zstd",
  ociForeignLayer: "application/vnd.oci.image.layer.nondistributable.v1.tar",
  ociForeignLayerGzip:
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
  ociForeignLayerZstd:
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
  dockerIndex: "application/vnd.docker.distribution.manifest.list.v2+json",
  dockerManifest: "application/vnd.docker.distribution.manifest.v2+json",
  dockerSchema1: "application/vnd.docker.distribution.manifest.v1+json",
  dockerSchema1Signed:
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
  dockerConfig: "application/vnd.docker.container.image.v1+json",
  dockerLayer: "application/vnd.docker.image.rootfs.diff.tar",
  dockerLayerGzip: "application/vnd.docker.image.rootfs.diff.tar.gzip",
  dockerLayerZstd: "application/vnd.docker.image.rootfs.diff.tar.zstd",
  dockerForeignLayerGzip:
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
  octetStream: "application/octet-stream",
} as const;

/** How a layer is packed; `none`: a format whose packing is not known (encrypted, foreign plain). */
export type LayerCompression = "gzip" | "uncompressed" | "zstd" | "none";

const LAYER_COMPRESSION: ReadonlyMap<string, LayerCompression> = new Map([
  [MEDIA.ociLayer, "uncompressed"],
  [MEDIA.dockerLayer, "uncompressed"],
  [MEDIA.ociLayerGzip, "gzip"],
  [MEDIA.ociForeignLayerGzip, "gzip"],
  [MEDIA.dockerLayerGzip, "gzip"],
  [MEDIA.dockerForeignLayerGzip, "gzip"],
  [MEDIA.ociLayerZstd, "zstd"],
  [MEDIA.ociForeignLayerZstd, "zstd"],
  [MEDIA.dockerLayerZstd, "zstd"],
]);

/** The packing that a layer's media type tells. */
export function layerCompression(mediaType: string): LayerCompression {
  return LAYER_COMPRESSION.get(mediaType) ?? "none";
}

/** Whether a media type is an image index or a Docker manifest list. */
export function isIndexMediaType(mediaType: string): boolean {
  return mediaType === MEDIA.ociIndex || mediaType === MEDIA.dockerIndex;
}

/** Whether a media type is a manifest of one image. */
export function isManifestMediaType(mediaType: string): boolean {
  return mediaType === MEDIA.ociManifest || mediaType === MEDIA.dockerManifest;
}
