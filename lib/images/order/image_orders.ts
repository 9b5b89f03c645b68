import { type Descriptor, formatPlatform } from "../../formats/oci/mod.ts";
import {
  decodeOrderManifest,
  decodePlan,
  type LoadOrder,
  ORDER_MEDIA,
  OrderError,
  PLAN_LIMITS,
} from "../../formats/order/mod.ts";
import { ztocForLayer } from "../../formats/soci/mod.ts";
import { isMissing, RegistryPlace } from "../../remote/content/mod.ts";
import {
  discoverIndex,
  type Image,
  readFamily,
} from "../../remote/image/mod.ts";
import type { Reference, RegistryClient } from "../../remote/registry/mod.ts";
import type { Platform } from "../../formats/oci/mod.ts";

/** An image in a registry, whose load orders are looked at or changed. */
export interface OrderedImage {
  /** How its registry is reached. */
  readonly client: RegistryClient;
  /** Where it is. */
  readonly reference: Reference;
  /** Its repository. */
  readonly place: RegistryPlace;
  /** What it is. */
  readonly image: Image;
}

/** One load order of an image. */
export interface ListedOrder {
  /** Of its manifest. */
  readonly descriptor: Descriptor;
  /** Which workload it is for. */
  readonly workload: string;
  /** `os/arch[/variant]`; empty where it does not say. */
  readonly platform: string;
  /** Whether the image's own digest covers it. */
  readonly isPinned: boolean;
  /** Bytes of its plan. */
  readonly planBytes: number;
  /** Bytes of its packs; 0: it is an order alone. */
  readonly packBytes: number;
}

/** Reads the image that a reference names. @throws RegistryError, PlatformNotFoundError */
export async function openOrderedImage(
  client: RegistryClient,
  reference: Reference,
  platform: Platform | undefined,
  signal: AbortSignal,
): Promise<OrderedImage> {
  const place = new RegistryPlace(client, reference);
  const family = await readFamily(place, signal);
  return {
    ...{ client, reference, place },
    image: await family.one(platform, signal),
  };
}

/** What the image says it is for; empty where it does not. */
export function platformOf({ image }: OrderedImage): string {
  return image.platform === null ? "" : formatPlatform(image.platform);
}

/** Its index, by whichever way it is found; null where it has none. */
function indexOfImage(
  { client, reference, image }: OrderedImage,
  signal: AbortSignal,
) {
  const { digest } = image.descriptor;
  return discoverIndex(
    client,
    reference,
    { digest, bytes: image.bytes },
    { v1: true, v2: true, signal },
  );
}

/** The ztocs of the image's layers. @throws Error when it has no index */
export async function ztocsOfImage(
  image: OrderedImage,
  signal: AbortSignal,
): Promise<(layer: Descriptor["digest"]) => Descriptor | null> {
  const found = await indexOfImage(image, signal);
  if (found === null) {
    throw new Error(
      `${image.reference} has no index: make one with \`soci-deno build-index\``,
    );
  }
  return (layer) => ztocForLayer(found.index, layer);
}

/**
 * The load orders of an image: pinned ones first. What is listed and cannot be read is passed over.
 * @param onUnreadable told of those.
 */
export async function listOrders(
  image: OrderedImage,
  signal: AbortSignal,
  onUnreadable: (descriptor: Descriptor, error: Error) => void,
): Promise<ListedOrder[]> {
  const { client, reference } = image;
  const index = await indexOfImage(image, signal);
  const pinned = (index?.beside.orders ?? [])
    .filter(({ isPinned }) => isPinned)
    .map(({ descriptor }) => descriptor);
  const listed = await client.referrers(
    reference,
    image.image.descriptor.digest,
    ORDER_MEDIA.artifact,
    { signal },
  );
  const orders: ListedOrder[] = [];
  for (const descriptor of [...pinned, ...listed]) {
    const isPinned = pinned.includes(descriptor);
    if (orders.some((one) => one.descriptor.digest === descriptor.digest)) {
      continue;
    }
    try {
      const found = await client.manifest(reference, {
        digest: descriptor.digest,
        signal,
      });
      const { workload, platform, plan, packs } = decodeOrderManifest(
        found.bytes,
      );
      orders.push({
        ...{ descriptor: found.descriptor, workload, platform, isPinned },
        planBytes: plan.size,
        packBytes: packs.reduce((sum, { size }) => sum + size, 0),
      });
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof OrderError || isMissing(error))) throw error;
      onUnreadable(descriptor, error as Error);
    }
  }
  return orders;
}

/** Reads the plan of a load order. @throws OrderError, RegistryError */
export async function readOrder(
  { client, reference }: Pick<OrderedImage, "client" | "reference">,
  { descriptor }: Pick<ListedOrder, "descriptor">,
  signal: AbortSignal,
): Promise<LoadOrder> {
  const { bytes } = await client.manifest(reference, {
    digest: descriptor.digest,
    signal,
  });
  const { plan } = decodeOrderManifest(bytes);
  return decodePlan(
    await client.blobBytes(reference, plan, {
      maxBytes: PLAN_LIMITS.planBytes,
      signal,
    }),
  );
}

/** Deletes a load order that is a referrer of the image. @returns false when it was not there */
export function removeOrder(
  { client, reference, image }: OrderedImage,
  { descriptor }: Pick<ListedOrder, "descriptor">,
  signal: AbortSignal,
): Promise<boolean> {
  return client.deleteReferrer(
    reference,
    descriptor.digest,
    image.descriptor.digest,
    { signal },
  );
}
