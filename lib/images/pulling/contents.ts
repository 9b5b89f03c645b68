import { type Descriptor, parseDigest } from "../../formats/oci/mod.ts";
import { putDocuments } from "./documents.ts";
import { Downloads } from "./downloads.ts";
import { download } from "./layers.ts";
import { findImage, LEASE_MS } from "./pull.ts";
import type { PullRequest } from "./request.ts";

/** Layers that are downloaded at a time. */
const AT_ONCE = 4;

/** What of an image is in containerd's content store now. */
export interface FetchedContents {
  /** Of the platform's image. */
  readonly manifest: Descriptor;
  /** Its layers, bottom first. */
  readonly layers: readonly Descriptor[];
}

/**
 * Puts an image's layers into containerd's content store, as tools want them that export, push or commit it. Makes no
 * snapshot and no name: the image must be there.
 * @throws RegistryError, ContainerdError, ImageError, PlatformNotFoundError; the signal's reason
 */
export async function fetchContents(
  request: PullRequest,
): Promise<FetchedContents> {
  const { signal, onLayers, onDownload } = request;
  const containerd = await request.containerd;
  // What containerd has: the tag may be another image by now.
  const { target } = await containerd.images.get(
    request.reference.toString(),
    { signal },
  );
  const reference = request.reference.withDigest(parseDigest(target.digest));
  const found = await findImage({ ...request, reference });
  const connected = {
    ...request,
    reference,
    containerd,
    onDownload: (layer: Descriptor, bytes: number) =>
      onDownload?.(layer, bytes),
  };
  const layers = found.layers.map(({ descriptor }) => descriptor);
  onLayers?.(layers);
  await containerd.leases.during(
    { expiresInMs: LEASE_MS, signal },
    async (lease) => {
      const downloads = new Downloads((layer) =>
        download(connected, lease, layer)
      );
      try {
        const next = layers.values();
        const work = async () => {
          for (const layer of next) await downloads.of(layer);
        };
        await Promise.all(Array.from({ length: AT_ONCE }, work));
        // Last: what was there before keeps the layers from here on.
        await putDocuments(connected, found, lease);
      } finally {
        await downloads.settled();
      }
    },
  );
  return { manifest: found.image.descriptor, layers };
}
