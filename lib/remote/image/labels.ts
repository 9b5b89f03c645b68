import {
  type Descriptor,
  type Digest,
  isDigest,
} from "../../formats/oci/mod.ts";
import type { ImageLayer } from "./image.ts";

/** Labels of containerd's CRI service and of clients that do as it does. */
export const CRI_LABELS = {
  imageRef: "containerd.io/snapshot/cri.image-ref",
  manifestDigest: "containerd.io/snapshot/cri.manifest-digest",
  layerDigest: "containerd.io/snapshot/cri.layer-digest",
  imageLayers: "containerd.io/snapshot/cri.image-layers",
} as const;

/** Names the workload that an image is started for: `pull --workload`, or an annotation of a layer. */
export const WORKLOAD_LABEL = "containerd.io/snapshot/soci-deno.workload";

/** Says how the image is taken, by an `ImagePolicy`: see `eager.labels` of the configuration. */
export const POLICY_LABEL = "containerd.io/snapshot/soci-deno.policy";

/**
 * How an image is taken: `lazy`, as its index says; `complete`, the same, and the rest follows as soon as no reader
 * waits; `eager`, whole, whatever index it has; `auto`, whichever of the two lets it start sooner.
 */
export type ImagePolicy = "lazy" | "complete" | "eager" | "auto";

/** All of them. */
export const IMAGE_POLICIES: readonly string[] = [
  ...["lazy", "complete", "eager", "auto"],
];

/** Whether a label's value names a policy. */
export function isImagePolicy(value: unknown): value is ImagePolicy {
  return typeof value === "string" && IMAGE_POLICIES.includes(value);
}

/** Names the index to use, whatever else could be found. */
const INDEX_DIGEST_LABEL = "containerd.io/snapshot/remote/soci.index.digest";

/** The most bytes of a label's key and value together, as containerd has it. */
const MAX_LABEL_BYTES = 4096;

/** Which layer of which image a snapshot is to hold. */
export interface LayerIdentity {
  /** The image as it was asked for. */
  readonly imageRef: string;
  /** Of the platform's manifest. */
  readonly manifestDigest: Digest;
  /** Of the layer's blob. */
  readonly layerDigest: Digest;
  /** Use this index and no other; null where it is to be found. */
  readonly indexDigest: Digest | null;
}

/**
 * The labels by which a snapshotter knows a layer, as containerd's CRI service writes them.
 * @param layers of the image, bottom first.
 */
export function layerLabels(
  { imageRef, manifestDigest, indexDigest }: Omit<LayerIdentity, "layerDigest">,
  layers: readonly ImageLayer[],
  layer: ImageLayer,
): Record<string, string> {
  const following = layers.slice(layer.position)
    .map(({ descriptor }) => descriptor);
  return {
    [CRI_LABELS.imageRef]: imageRef,
    [CRI_LABELS.manifestDigest]: manifestDigest,
    [CRI_LABELS.layerDigest]: layer.descriptor.digest,
    [CRI_LABELS.imageLayers]: digestList(following),
    ...(indexDigest !== null && { [INDEX_DIGEST_LABEL]: indexDigest }),
  };
}

/** What labels say of a layer; null for an ordinary snapshot, which names none. */
export function layerIdentity(
  labels: Readonly<Record<string, string>>,
): LayerIdentity | null {
  const imageRef = labels[CRI_LABELS.imageRef];
  const manifestDigest = labels[CRI_LABELS.manifestDigest];
  const layerDigest = labels[CRI_LABELS.layerDigest];
  if (
    imageRef === undefined || !isDigest(manifestDigest) ||
    !isDigest(layerDigest)
  ) return null;
  const index = labels[INDEX_DIGEST_LABEL];
  const indexDigest = isDigest(index) ? index : null;
  return { imageRef, manifestDigest, layerDigest, indexDigest };
}

/** As many digests as a label holds. */
function digestList(layers: readonly Descriptor[]): string {
  const room = MAX_LABEL_BYTES - CRI_LABELS.imageLayers.length;
  let text = "";
  for (const { digest } of layers) {
    const next = text === "" ? digest : `${text},${digest}`;
    if (next.length > room) break;
    text = next;
  }
  return text;
}
