import { RegistryPlace } from "../../remote/content/mod.ts";
import { readFamily } from "../../remote/image/mod.ts";
import { putDocuments } from "./documents.ts";
import { bringLayers } from "./layers.ts";
import type {
  ConnectedRequest,
  FoundImage,
  PullRequest,
  PullResult,
} from "./request.ts";

/** The lease of a process that was killed expires after this time. */
export const LEASE_MS = 24 * 3600 * 1000;

/**
 * Pulls an image into containerd as its CRI service does: manifests and configuration go into the
 * content store; each layer is offered to the snapshotter, and only downloaded when it declines.
 * Pulls of the same image or of images that share content may run at once.
 * @throws RegistryError, ContainerdError, ImageError, PlatformNotFoundError; the signal's reason
 */
export async function pullImage(request: PullRequest): Promise<PullResult> {
  const { signal } = request;
  // The registry and containerd are asked in parallel.
  const found = findImage(request);
  found.catch(() => {}); // awaited under the lease
  try {
    const containerd = await request.containerd;
    return await containerd.leases.during(
      { expiresInMs: LEASE_MS, signal },
      async (lease) =>
        pullUnderLease({ ...request, containerd }, await found, lease),
    );
  } catch (error) {
    signal?.throwIfAborted(); // after an abort, throw its reason instead of its consequences
    throw error;
  }
}

/** What the registry has under a reference. @throws RegistryError, ImageError, PlatformNotFoundError */
export async function findImage(
  { client, reference, platform, signal, onManifest }: Pick<
    PullRequest,
    "client" | "reference" | "platform" | "signal" | "onManifest"
  >,
): Promise<FoundImage> {
  const source = new RegistryPlace(client, reference);
  const family = await readFamily(source, signal);
  const descriptor = await family.chooseOne(platform, signal);
  onManifest?.(descriptor.digest);
  const image = await family.image(descriptor, signal);
  return { family, image, layers: await image.layers(signal) };
}

async function pullUnderLease(
  request: ConnectedRequest,
  found: FoundImage,
  lease: string,
): Promise<PullResult> {
  const { containerd, reference, signal } = request;
  const { family, image } = found;
  const name = reference.toString();
  const stop = new AbortController();
  const both = signal === undefined
    ? stop.signal
    : AbortSignal.any([signal, stop.signal]);
  const guarded = { ...request, signal: both };
  const stopOthers = (error: unknown) => {
    stop.abort(error);
    throw error;
  };
  // Both end before the lease does, however they end.
  const [layers, documents] = await Promise.allSettled([
    bringLayers(guarded, found, lease).catch(stopOthers),
    putDocuments(guarded, found, lease).catch(stopOthers),
  ]);
  if (layers.status === "rejected" || documents.status === "rejected") {
    throw stop.signal.reason;
  }
  await containerd.images.put(
    { name, target: family.descriptor, labels: {} },
    { lease, signal },
  );
  return {
    name,
    target: family.descriptor,
    manifest: image.descriptor,
    layers: layers.value,
  };
}
