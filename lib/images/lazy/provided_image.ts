import {
  type IndexedImage,
  type LayerIdentity,
  ztocOf,
} from "../../remote/image/mod.ts";
import type { ProvidedImage } from "../snapshotter/mod.ts";
import type { Claimant } from "./claimants.ts";

/** Made once for an image, which may have thousands: each of its layers is prepared with all of them. */
const layersOf = new WeakMap<IndexedImage, ProvidedImage["layers"]>();

/** Equal for the same manifest and index of one claimant. */
export function keyOf(claimant: Claimant, wanted: LayerIdentity): string {
  const { manifestDigest, indexDigest } = wanted;
  return `${claimant.id} ${manifestDigest} ${indexDigest ?? ""}`;
}

/** What the snapshotter stores of an image. @param key see `keyOf`. */
export function providedImage(
  image: IndexedImage,
  { id, namespace, host, repository, fingerprint }: Claimant,
  key: string,
): ProvidedImage {
  const { reference, descriptor, index } = image;
  return {
    ...{ key, claimant: id, namespace, host, repository, fingerprint },
    reference: reference.toString(),
    manifestDigest: descriptor.digest,
    indexDigest: index?.digest ?? null,
    layers: layersOf.getOrInsertComputed(image, providedLayers),
  };
}

function providedLayers(image: IndexedImage): ProvidedImage["layers"] {
  return image.layers.map(({ descriptor: { digest }, diffId }) => ({
    digest,
    diffId,
    ztocDigest: ztocOf(image, digest)?.digest ?? null,
  }));
}
