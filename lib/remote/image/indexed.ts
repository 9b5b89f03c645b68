import type { Descriptor, Digest, Platform } from "../../formats/oci/mod.ts";
import {
  type CompressedZtoc,
  decodeCompanion,
  ztocForLayer,
} from "../../formats/soci/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import { RegistryPlace } from "../content/mod.ts";
import type { Reference, RegistryClient } from "../registry/mod.ts";
import {
  type DiscoveredIndex,
  discoverIndex,
  type DiscoverOptions,
} from "./discover.ts";
import { type FoundOrder, NOTHING_BESIDE } from "./beside.ts";
import { ImageError } from "./errors.ts";
import { readFamily } from "./family.ts";
import { Image, type ImageLayer } from "./image.ts";

const log = logger("images");

/**
 * Layers of an image that is served lazily: four times as many as overlayfs stacks. Each takes a mount,
 * descriptors and a place in tables that all images share.
 */
const MAX_LAYERS = 2048;

/**
 * The facts about an image at its registry, without the documents they come from, because they are kept
 * for a long time.
 */
export interface IndexedImage {
  /** As it was asked for: host, repository, tag. */
  readonly reference: Reference;
  /** Of the image manifest. */
  readonly descriptor: Descriptor;
  /** Bottom first. */
  readonly layers: readonly ImageLayer[];
  /** null: it has no usable index. */
  readonly index:
    | Omit<DiscoveredIndex, "bytes" | "beside" | "companion">
    | null;
  /** Of the manifest of the index's companion, which carries its ztocs compressed; null: there is none. */
  readonly companion: Descriptor | null;
  /**
   * What its companion says of ztocs, by the ztoc's digest. Never rejects: nothing, where the companion
   * cannot be used or does not come soon.
   */
  readonly compressedZtocs: Promise<ReadonlyMap<Digest, CompressedZtoc>>;
  /** Its load orders, in the order in which they are named. */
  readonly orders: readonly FoundOrder[];
  /** The workload that its configuration names; null where it names none. */
  readonly workload: string | null;
  /** What its configuration says of how it is taken, whatever that is; null where it says nothing. */
  readonly policy: string | null;
  /** How long the registry took for a small request, ms. */
  readonly roundTripMs: number;
}

/** The ztoc that an image's own index names for a layer; null where it names none. */
export function ztocOf(
  { index }: Pick<IndexedImage, "index">,
  layer: Digest,
): Descriptor | null {
  return index === null ? null : ztocForLayer(index.index, layer);
}

/**
 * The image of one manifest digest. It takes two round trips: manifest and referrers in parallel, then
 * config and index.
 * @throws RegistryError, ManifestError, ImageError, SociError
 */
export async function readIndexedImage(
  client: RegistryClient,
  reference: Reference,
  manifestDigest: Digest,
  options: DiscoverOptions,
): Promise<IndexedImage> {
  const { signal } = options;
  const manifest = client.manifest(reference, {
    digest: manifestDigest,
    ...(signal !== undefined && { signal }),
  });
  const source = new RegistryPlace(client, reference);
  const image = manifest.then((document) =>
    Image.of(source, reference.toString(), document, signal)
  );
  const index = discoverIndex(
    client,
    reference,
    { digest: manifestDigest, bytes: manifest.then(({ bytes }) => bytes) },
    options,
  );
  return await withIndex(reference, manifestDigest, { index, image }, options);
}

/**
 * The image a reference stands for, of one platform (default: this machine's). If its index cannot be
 * found or used, the log says why, and the image counts as one without.
 * @throws PlatformNotFoundError, RegistryError, ManifestError, ImageError
 */
export async function resolveIndexedImage(
  client: RegistryClient,
  reference: Reference,
  platform: Platform | undefined,
  options: DiscoverOptions,
): Promise<IndexedImage> {
  const source = new RegistryPlace(client, reference);
  const family = await readFamily(source, options.signal);
  const image = await family.one(platform, options.signal);
  const { digest } = image.descriptor;
  const index = discoverIndex(
    client,
    reference,
    { digest, bytes: image.bytes },
    options,
  ).catch((error) => {
    log.warn("index cannot be used, the image is served without", {
      image: reference.toString(),
      error: String(error),
    });
    return null;
  });
  return await withIndex(
    reference,
    digest,
    { index, image: Promise.resolve(image) },
    options,
  );
}

async function withIndex(
  reference: Reference,
  digest: Digest,
  coming: {
    readonly index: Promise<DiscoveredIndex | null>;
    readonly image: Promise<Image>;
  },
  options: DiscoverOptions,
): Promise<IndexedImage> {
  const { signal } = options;
  const [index, image, layers] = await Promise.all([
    coming.index,
    coming.image,
    coming.image.then((image) => {
      const { length } = image.manifest.layers;
      if (length > MAX_LAYERS) {
        throw new ImageError(
          reference.toString(),
          digest,
          `it has ${length} layers, and no more than ${MAX_LAYERS} are served lazily: containerd unpacks it`,
        );
      }
      return image.layers(signal);
    }),
  ]);
  const { workload, policy, tookMs } = await image.config();
  return {
    reference,
    descriptor: image.descriptor,
    layers,
    index: index === null ? null : {
      index: index.index,
      digest: index.digest,
      version: index.version,
      via: index.via,
    },
    ...(index?.beside ?? NOTHING_BESIDE),
    compressedZtocs: compressedZtocs(index, digest),
    workload,
    policy,
    roundTripMs: tookMs,
  };
}

/** How long the manifest of a companion is waited for, once the rest of the image is known, ms. */
const COMPANION_PATIENCE_MS = 1000;
const NO_ZTOCS: ReadonlyMap<Digest, CompressedZtoc> = new Map();

async function compressedZtocs(
  found: DiscoveredIndex | null,
  image: Digest,
): Promise<ReadonlyMap<Digest, CompressedZtoc>> {
  if (found?.companion == null) return NO_ZTOCS;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(resolve, COMPANION_PATIENCE_MS, null);
  });
  const bytes = await Promise.race([found.companion, late]);
  clearTimeout(timer);
  if (bytes === null) return NO_ZTOCS;
  try {
    return decodeCompanion(bytes, { index: found.index, image });
  } catch (error) {
    log.warn("companion of the index cannot be used", {
      companion: found.beside.companion?.digest ?? null,
      error: String(error),
    });
    return NO_ZTOCS;
  }
}

/**
 * The layer of an image that a snapshot should hold: the layer at the position with that chain ID.
 * @param chain ID of the snapshot to be, and of the one below it (empty: none).
 * @param digest of the layer's blob, as the caller says.
 * @throws ImageError when the image has no such layer there, or another one below
 */
export function layerOfChain(
  { reference, descriptor, layers }: IndexedImage,
  { chainId, parentChain }: {
    readonly chainId: string;
    readonly parentChain: string;
  },
  digest: Digest,
): ImageLayer {
  const at = layers.findIndex((one) => one.chainId === chainId);
  const layer = layers[at];
  const below = layers[at - 1]?.chainId ?? "";
  if (layer?.descriptor.digest === digest) {
    if (below === parentChain) return layer;
    throw new ImageError(
      reference.toString(),
      digest,
      `chain ${chainId} is to be on ${parentChain || "nothing"}, and has ${
        below || "nothing"
      } below it`,
    );
  }
  throw new ImageError(
    reference.toString(),
    digest,
    layer === undefined
      ? `no layer of manifest ${descriptor.digest} has chain ID ${chainId}`
      : `chain ID ${chainId} is that of layer ${layer.descriptor.digest}`,
  );
}
