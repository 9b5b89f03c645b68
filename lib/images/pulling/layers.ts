import type { Mount } from "../../remote/containerd/mod.ts";
import { isRpcError, TARGET_LABEL } from "../../remote/containerd_words/mod.ts";
import type { Descriptor } from "../../formats/oci/mod.ts";
import {
  ImageError,
  type ImageLayer,
  layerLabels,
  POLICY_LABEL,
  WORKLOAD_LABEL,
} from "../../remote/image/mod.ts";
import { Downloads } from "./downloads.ts";
import { heldLayers } from "./present.ts";
import type { ConnectedRequest, FoundImage, PulledLayer } from "./request.ts";

/** How long a call may still run after the pull was aborted, ms. */
const GRACE_MS = 5000;

/** Makes a snapshot of each layer, bottom first: a snapshot needs its parent. */
export async function bringLayers(
  request: ConnectedRequest,
  { image, layers }: FoundImage,
  lease: string,
): Promise<PulledLayer[]> {
  const { signal, reference, indexDigest = null } = request;
  const { containerd, snapshotter } = request;
  const snapshots = containerd.snapshots.of(snapshotter);
  const nameOf = (position: number) => layers[position]!.chainId;
  const held = await heldLayers(layers.length, {
    has: (position) => snapshots.has(nameOf(position), { signal }),
    hold: (position) =>
      containerd.leases.addSnapshot(snapshotter, nameOf(position), {
        lease,
        signal,
      }),
  });
  const about = {
    imageRef: reference.toString(),
    manifestDigest: image.descriptor.digest,
    indexDigest,
  };
  request.onLayers?.(layers.map(({ descriptor }) => descriptor));
  const stop = new AbortController();
  const signals = signal === undefined ? [] : [signal];
  const guarded = {
    ...request,
    signal: AbortSignal.any([...signals, stop.signal]),
  };
  const downloads = new Downloads((layer) => download(guarded, lease, layer));
  // The snapshotter declines one: most likely it declines those above, too.
  const ahead = (position: number) =>
    downloads.ahead(layers.slice(Math.max(position, held)));
  const pulled: PulledLayer[] = [];
  try {
    for (const layer of layers) {
      signal?.throwIfAborted();
      const { position, descriptor, chainId } = layer;
      const outcome = position < held ? "present" : await bringLayer(
        { ...request, downloads, onDeclined: () => ahead(position) },
        lease,
        layer,
        {
          ...layerLabels(about, layers, layer),
          ...(request.workload !== undefined &&
            { [WORKLOAD_LABEL]: request.workload }),
          ...(request.policy !== undefined &&
            { [POLICY_LABEL]: request.policy }),
        },
      );
      const one: PulledLayer = { descriptor, chainId, outcome };
      pulled.push(one);
      request.onLayer?.(one);
    }
    return pulled;
  } catch (error) {
    stop.abort(error); // what comes ahead is of no use
    throw error;
  } finally {
    await downloads.settled(); // before the lease ends
  }
}

/** A request while its layers are brought. */
interface Bringing extends ConnectedRequest {
  readonly downloads: Downloads;
  /** Told that the snapshotter wants a layer unpacked. */
  readonly onDeclined: () => void;
}

async function bringLayer(
  request: Bringing,
  lease: string,
  layer: ImageLayer,
  labels: Record<string, string>,
): Promise<PulledLayer["outcome"]> {
  const { containerd, snapshotter, signal } = request;
  const snapshots = containerd.snapshots.of(snapshotter);
  const { parent, chainId } = layer;
  const key = `extract-${crypto.randomUUID()} ${chainId}`;
  let mounts: readonly Mount[];
  try {
    mounts = await finishing(
      signal,
      (signal) =>
        snapshots.prepare(key, parent, {
          labels: { ...labels, [TARGET_LABEL]: chainId },
          lease,
          signal,
        }),
    );
  } catch (error) {
    if (isRpcError(error, "ALREADY_EXISTS")) return "served";
    throw error;
  }
  try {
    signal?.throwIfAborted();
    request.onDeclined();
    await unpack(request, lease, layer, mounts);
    await snapshots.commit(chainId, key, {
      labels: { [TARGET_LABEL]: chainId },
      lease,
      signal,
    });
    return "unpacked";
  } catch (error) {
    // Not aborted by the signal: this removes what the aborted pull had begun.
    await snapshots.remove(key, { lease }).catch(() => {}); // the end of the lease removes it, too
    // Another client may have been faster.
    if (isRpcError(error, "ALREADY_EXISTS")) return "present";
    throw error;
  }
}

/**
 * A call that should finish even if the pull is aborted: containerd may continue an aborted call, and
 * its result would then have no owner. It is aborted only if it takes too long.
 */
async function finishing<T>(
  signal: AbortSignal | undefined,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted();
  const cut = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const onAbort = () => {
    timer = setTimeout(() => cut.abort(signal?.reason), GRACE_MS);
  };
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    return await call(cut.signal);
  } finally {
    signal?.removeEventListener("abort", onAbort);
    clearTimeout(timer);
  }
}

async function unpack(
  request: Bringing,
  lease: string,
  { descriptor, diffId }: ImageLayer,
  mounts: readonly Mount[],
): Promise<void> {
  const { containerd, reference, signal, downloads } = request;
  await downloads.of(descriptor);
  const applied = await containerd.diff.apply(descriptor, mounts, {
    lease,
    signal,
  });
  // Committed under a wrong chain ID, it would pass for another image's layer.
  if (applied.digest !== diffId) {
    throw new ImageError(
      reference.toString(),
      descriptor.digest,
      `its tar is ${applied.digest}, the configuration says ${diffId}`,
    );
  }
}

/** Puts a layer's blob into the content store, unless it is there. @throws RegistryError, ContainerdError */
export async function download(
  request: ConnectedRequest,
  lease: string,
  layer: Descriptor,
): Promise<void> {
  const { client, containerd, reference, signal, onDownload } = request;
  // Read only when containerd does not have it: whether it does, it says under the lease.
  async function* pieces() {
    const stream = await client.blob(reference, layer, {
      ...(signal !== undefined && { signal }),
    });
    for await (const chunk of stream) {
      onDownload?.(layer, chunk.length);
      yield chunk;
    }
  }
  await containerd.content.putBlob(layer, pieces(), {
    lease,
    signal,
    timeoutMs: null,
  });
}
