/** A client in containerd's place that asks a daemon for layers, one by one. @module */
import {
  isRpcError,
  RpcChannel,
  SnapshotsClient,
} from "../../lib/remote/containerd/mod.ts";
import type { Digest } from "../../lib/formats/oci/mod.ts";
import { chainIdOf } from "../../lib/remote/image/chain.ts";
import type { Image } from "../support/images/mod.ts";

/** How long one layer may take, ms. */
const TIMEOUT_MS = 120_000;

/** Prepares and removes snapshots of layers, as containerd's unpacker does. */
export class LayerClient implements Disposable {
  readonly #channel: RpcChannel;
  readonly #snapshots: SnapshotsClient;
  #keys = 0;

  /** @param socketPath the daemon's. */
  constructor(socketPath: string) {
    this.#channel = new RpcChannel({ socketPath, namespace: "default" });
    this.#snapshots = new SnapshotsClient(this.#channel, "soci");
  }

  /** Asks for one layer, whose parent is there. @returns whether it is served lazily. */
  async prepare(
    reference: string,
    image: Image,
    chain: readonly Digest[],
    position: number,
  ): Promise<boolean> {
    const key = `layer-client-${++this.#keys}`;
    try {
      await this.#snapshots.prepare(key, chain[position - 1] ?? "", {
        labels: {
          "containerd.io/snapshot.ref": chain[position]!,
          "containerd.io/snapshot/cri.image-ref": reference,
          "containerd.io/snapshot/cri.manifest-digest": image.digest,
          "containerd.io/snapshot/cri.layer-digest":
            image.layers[position]!.digest,
        },
        timeoutMs: TIMEOUT_MS,
      });
    } catch (error) {
      if (isRpcError(error, "ALREADY_EXISTS")) return true;
      throw error;
    }
    await this.#snapshots.remove(key);
    return false;
  }

  /** Removes a snapshot nothing builds on. */
  remove(chainId: Digest): Promise<void> {
    return this.#snapshots.remove(chainId);
  }

  [Symbol.dispose](): void {
    this.#channel[Symbol.dispose]();
  }
}

/** The chain IDs of an image's layers, lowest first. */
export function chainIds({ layers }: Image): Digest[] {
  const chain: Digest[] = [];
  for (const { diffId } of layers) {
    chain.push(chainIdOf(chain.at(-1) ?? "", diffId));
  }
  return chain;
}
