import type { Descriptor } from "../../formats/oci/mod.ts";
import type { ConnectedRequest, FoundImage } from "./request.ts";

const GC_REF = "containerd.io/gc.ref";

/** Puts manifests and configuration into the content store, with the labels that keep what they name. */
export async function putDocuments(
  { containerd, snapshotter, signal }: ConnectedRequest,
  { family, image, layers }: FoundImage,
  lease: string,
): Promise<void> {
  const { manifest, descriptor } = image;
  const put = async (
    blob: Pick<Descriptor, "digest" | "size">,
    bytes: Uint8Array,
    labels: Record<string, string>,
  ) => {
    const outcome = await containerd.content.putBlob(blob, [bytes], {
      labels,
      lease,
      signal,
    });
    // A blob that was there may lack them.
    if (outcome === "present") {
      await containerd.content.updateLabels(blob.digest, labels, {
        lease,
        signal,
      });
    }
  };
  const named = (kind: string, list: readonly { digest: string }[]) =>
    Object.fromEntries(
      list.map(({ digest }, at) => [`${GC_REF}.content.${kind}.${at}`, digest]),
    );
  const top = layers.at(-1)?.chainId;
  const { bytes: config } = await image.config(signal);
  const puts = [
    put(
      manifest.config,
      config as Uint8Array, // the layers came from it
      top === undefined ? {} : { [`${GC_REF}.snapshot.${snapshotter}`]: top },
    ),
    put(descriptor, image.bytes, {
      [`${GC_REF}.content.config`]: manifest.config.digest,
      ...named("l", manifest.layers),
    }),
  ];
  if (family.isIndex) {
    puts.push(
      put(family.descriptor, family.bytes, named("m", family.members)),
    );
  }
  await Promise.all(puts);
}
