/** Labels of containerd's CRI service and of clients that do as it does. */
export const CRI_LABELS = {
  imageRef: "containerd.io/snapshot/cri.image-ref",
  manifestDigest: "containerd.io/snapshot/cri.manifest-digest",
  layerDigest: "containerd.io/snapshot/cri.layer-digest",
  imageLayers: "containerd.io/snapshot/cri.image-layers",
} as const;

/** Names the index to use, whatever else could be found. */
export const INDEX_DIGEST_LABEL =
  "containerd.io/snapshot/remote/soci.index.digest";
