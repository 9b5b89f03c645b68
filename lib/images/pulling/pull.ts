import {
  type Containerd,
  isRpcError,
  type SnapshotsClient,
} from "../../remote/containerd/mod.ts";
import {
  type Descriptor,
  type Digest,
  isDigest,
  parseIndex,
  type Platform,
  sha256,
} from "../../formats/oci/mod.ts";
import type { Reference, RegistryClient } from "../../remote/registry/mod.ts";
import type { ImageFamily } from "../../remote/image/mod.ts";
import { ImageError } from "../../remote/image/mod.ts";
import {
  imageOf,
  type ResolvedImage,
  resolveFamily,
} from "../../remote/image/mod.ts";
import { CRI_LABELS, INDEX_DIGEST_LABEL } from "../../remote/image/mod.ts";

const LEASE_MS = 24 * 3600 * 1000;
const MAX_CONFIG_BYTES = 8 * 2 ** 20;
const GC_REF = "containerd.io/gc.ref";

/** What is pulled, and how. */
export interface PullRequest {
  readonly client: RegistryClient;
  readonly containerd: Containerd;
  /** The snapshotter's name in containerd. */
  readonly snapshotter: string;
  readonly reference: Reference;
  readonly platform: Platform;
  /** Use this index and no other. */
  readonly indexDigest?: Digest | undefined;
  readonly onLayer?: (layer: PulledLayer) => void;
  /** Told of bytes of layers that had to be downloaded. */
  readonly onDownload?: (layer: Descriptor, bytes: number) => void;
}

/** How one layer came to be there. */
export interface PulledLayer {
  readonly descriptor: Descriptor;
  readonly chainId: string;
  /** `served`: by the snapshotter. `present`: it was there. `unpacked`: downloaded and unpacked. */
  readonly outcome: "served" | "present" | "unpacked";
}

/** What a pull did. */
export interface PullResult {
  readonly name: string;
  readonly target: Descriptor;
  readonly manifest: Descriptor;
  readonly layers: readonly PulledLayer[];
}

/** Chain ID of a layer on top of `parent` (OCI image spec, config.md). */
export function chainIdOf(parent: string, diffId: Digest): string {
  return parent === ""
    ? diffId
    : sha256(new TextEncoder().encode(`${parent} ${diffId}`));
}

/**
 * Pulls an image into containerd as its CRI service does: manifests and configuration go into the
 * content store; each layer is offered to the snapshotter, and only downloaded when it declines.
 * @throws RegistryError, ContainerdError, ImageError
 */
export async function pullImage(request: PullRequest): Promise<PullResult> {
  // The registry and containerd are asked side by side.
  const found = findImage(request);
  found.catch(() => {}); // seen under the lease
  return await request.containerd.leases.during(
    { expiresInMs: LEASE_MS },
    async (lease) => pullUnderLease(request, await found, lease),
  );
}

/** All of an image but its layers. */
interface FoundImage {
  readonly family: ImageFamily;
  readonly image: ResolvedImage;
  readonly config: Uint8Array;
  /** Chain ID of each layer. */
  readonly chainIds: readonly string[];
}

async function findImage(
  { client, reference, platform }: PullRequest,
): Promise<FoundImage> {
  const family = await resolveFamily(client, reference);
  const image = await imageOf(client, reference, family, platform);
  const { manifest } = image;
  const config = await client.blobBytes(reference, manifest.config, {
    maxBytes: MAX_CONFIG_BYTES,
  });
  const chainIds: string[] = [];
  for (
    const diffId of readDiffIds(
      config,
      reference.toString(),
      manifest.layers.length,
    )
  ) chainIds.push(chainIdOf(chainIds.at(-1) ?? "", diffId));
  return { family, image, config, chainIds };
}

async function pullUnderLease(
  request: PullRequest,
  found: FoundImage,
  lease: string,
): Promise<PullResult> {
  const { containerd, reference } = request;
  const { family, image } = found;
  const name = reference.toString();
  const [layers] = await Promise.all([
    bringLayers(request, found, lease),
    putContents(request, found, lease),
  ]);
  await containerd.images.put(
    { name, target: family.descriptor, labels: {} },
    { lease },
  );
  return {
    name,
    target: family.descriptor,
    manifest: image.descriptor,
    layers,
  };
}

/** Bottom layer first: a snapshot needs its parent. */
async function bringLayers(
  request: PullRequest,
  { image, chainIds }: FoundImage,
  lease: string,
): Promise<PulledLayer[]> {
  const { manifest, descriptor } = image;
  const snapshots = request.containerd.snapshots.of(request.snapshotter);
  const present = await Promise.all(
    chainIds.map((chainId) => snapshots.has(chainId, { lease })),
  );
  const layers: PulledLayer[] = [];
  for (const [at, layer] of manifest.layers.entries()) {
    const chainId = chainIds[at] as string;
    const labels = {
      "containerd.io/snapshot.ref": chainId,
      [CRI_LABELS.imageRef]: request.reference.toString(),
      [CRI_LABELS.manifestDigest]: descriptor.digest,
      [CRI_LABELS.layerDigest]: layer.digest,
      [CRI_LABELS.imageLayers]: layersLabel(manifest.layers.slice(at)),
      ...(request.indexDigest !== undefined &&
        { [INDEX_DIGEST_LABEL]: request.indexDigest }),
    };
    const parent = chainIds[at - 1] ?? "";
    const pulled: PulledLayer = {
      descriptor: layer,
      chainId,
      outcome: present[at]
        ? "present"
        : await bringLayer(request, lease, { layer, parent, chainId, labels }),
    };
    layers.push(pulled);
    request.onLayer?.(pulled);
  }
  return layers;
}

/** Manifests and configuration, with the labels that keep what they name. */
async function putContents(
  { containerd, snapshotter }: PullRequest,
  { family, image, config, chainIds }: FoundImage,
  lease: string,
): Promise<void> {
  const { manifest, descriptor } = image;
  const put = async (
    blob: Pick<Descriptor, "digest" | "size">,
    bytes: Uint8Array,
    labels: Record<string, string>,
  ) => {
    const outcome = await containerd.content.writeBlob(
      `soci-deno-${blob.digest}`,
      blob,
      [bytes],
      { labels, lease },
    );
    // A blob that was there may lack them.
    if (outcome === "present") {
      await containerd.content.updateLabels(blob.digest, labels, { lease });
    }
  };
  const named = (kind: string, list: readonly { digest: string }[]) =>
    Object.fromEntries(
      list.map(({ digest }, at) => [`${GC_REF}.content.${kind}.${at}`, digest]),
    );
  const top = chainIds.at(-1);
  const puts = [
    put(
      manifest.config,
      config,
      top === undefined ? {} : { [`${GC_REF}.snapshot.${snapshotter}`]: top },
    ),
    put(descriptor, image.bytes, {
      [`${GC_REF}.content.config`]: manifest.config.digest,
      ...named("l", manifest.layers),
    }),
  ];
  if (family.isIndex) {
    const { manifests } = parseIndex(
      family.bytes,
      family.descriptor.mediaType,
    );
    puts.push(put(family.descriptor, family.bytes, named("m", manifests)));
  }
  await Promise.all(puts);
}

interface LayerPlace {
  readonly layer: Descriptor;
  readonly parent: string;
  readonly chainId: string;
  readonly labels: Record<string, string>;
}

async function bringLayer(
  request: PullRequest,
  lease: string,
  place: LayerPlace,
): Promise<PulledLayer["outcome"]> {
  const { containerd } = request;
  const snapshots: SnapshotsClient = containerd.snapshots.of(
    request.snapshotter,
  );
  const { layer, parent, chainId, labels } = place;
  const key = `extract-${crypto.randomUUID()} ${chainId}`;
  let mounts;
  try {
    mounts = await snapshots.prepare(key, parent, { labels, lease });
  } catch (error) {
    if (isRpcError(error, "ALREADY_EXISTS")) return "served";
    throw error;
  }
  try {
    await download(request, lease, layer);
    await containerd.diff.apply(layer, mounts, { lease });
    await snapshots.commit(chainId, key, {
      labels: { "containerd.io/snapshot.ref": chainId },
      lease,
    });
    return "unpacked";
  } catch (error) {
    // Another client may have been faster.
    await snapshots.remove(key, { lease }).catch(() => {});
    if (isRpcError(error, "ALREADY_EXISTS")) return "present";
    throw error;
  }
}

async function download(
  request: PullRequest,
  lease: string,
  layer: Descriptor,
): Promise<void> {
  const { client, containerd, reference, onDownload } = request;
  if (await containerd.content.has(layer.digest, { lease })) return;
  const stream = await client.blob(reference, layer);
  async function* counted() {
    for await (const chunk of stream) {
      onDownload?.(layer, chunk.length);
      yield chunk;
    }
  }
  await containerd.content.writeBlob(
    `soci-deno-${layer.digest}`,
    layer,
    counted(),
    { lease, timeoutMs: null },
  );
}

/** As many following layers as a label holds (containerd bounds key and value to 4096 bytes). */
function layersLabel(layers: readonly Descriptor[]): string {
  const room = 4096 - CRI_LABELS.imageLayers.length;
  let text = "";
  for (const { digest } of layers) {
    const next = text === "" ? digest : `${text},${digest}`;
    if (next.length > room) break;
    text = next;
  }
  return text;
}

function readDiffIds(
  config: Uint8Array,
  image: string,
  layers: number,
): Digest[] {
  let ids: unknown;
  try {
    ids = JSON.parse(new TextDecoder().decode(config))?.rootfs?.diff_ids;
  } catch (cause) {
    throw new ImageError(image, null, "its configuration is no JSON", {
      cause,
    });
  }
  if (!Array.isArray(ids) || !ids.every(isDigest) || ids.length !== layers) {
    throw new ImageError(
      image,
      null,
      `its configuration does not list ${layers} diff IDs`,
    );
  }
  return ids;
}
