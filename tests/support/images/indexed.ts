import { type Descriptor, MEDIA } from "../../../lib/formats/oci/mod.ts";
import {
  encodeIndex,
  makeIndex,
  ztocDescriptor,
} from "../../../lib/formats/soci/mod.ts";
import type { TestRegistry } from "../registry/mod.ts";
import type { Image } from "./image.ts";

/**
 * Puts an image into a registry of this process, and a v1 index beside it with any ztocs.
 * @param ztocs of the layers, lowest first; fewer than there are layers: the others have none.
 */
export function addIndexedImage(
  registry: TestRegistry,
  name: string,
  image: Image,
  ztocs: readonly Uint8Array[],
): void {
  const colon = name.lastIndexOf(":");
  const repository = name.slice(0, colon);
  for (const bytes of image.blobs.values()) registry.addBlob(repository, bytes);
  registry.addManifest(repository, image.manifest, {
    mediaType: image.mediaType,
    tag: name.slice(colon + 1),
  });
  const layers = ztocs.map((ztoc, i): Descriptor => {
    const { digest, size } = registry.addBlob(repository, ztoc);
    return ztocDescriptor({
      digest,
      size,
      layer: { mediaType: MEDIA.ociLayerGzip, digest: image.layers[i]!.digest },
      spanSizeBytes: 4 * 2 ** 20,
    });
  });
  registry.addManifest(
    repository,
    new Uint8Array(
      encodeIndex(makeIndex({ layers, subject: image.descriptor })),
    ),
  );
}
