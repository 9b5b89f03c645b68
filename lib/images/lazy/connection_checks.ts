import type { Digest } from "../../formats/oci/mod.ts";
import type { LayerStore } from "../../layers/serving/mod.ts";
import {
  InvalidReferenceError,
  parseReference,
  type Reference,
  type RegistryClient,
} from "../../remote/registry/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import { nameOf } from "./source.ts";

const log = logger("images");
/** Layers whose last check is remembered. */
const MAX_REMEMBERED = 4096;

/** A layer below a container's snapshot. */
export interface UsedLayer {
  /** As containerd was asked for it. */
  readonly imageRef: string;
  /** Of the blob. */
  readonly layerDigest: string;
}

/**
 * Looks whether registries still give layers that a container is about to use and that are not whole, so that the log
 * says it before somebody reads. Nobody waits for it.
 */
export class ConnectionChecks implements Disposable {
  readonly #client: RegistryClient;
  readonly #store: Pick<LayerStore, "all">;
  readonly #intervalMs: () => number;
  readonly #checkedMs = new Map<string, number>();
  readonly #stop = new AbortController();

  /**
   * Asks nothing yet; client and store stay the caller's.
   * @param intervalMs the least time between two checks of a layer; opening it counts as one.
   */
  constructor(
    client: RegistryClient,
    store: Pick<LayerStore, "all">,
    intervalMs: () => number,
  ) {
    this.#client = client;
    this.#store = store;
    this.#intervalMs = intervalMs;
  }

  /** A container will use these layers. */
  used(layers: readonly UsedLayer[]): void {
    const partial = new Set(
      this.#store.all().filter(({ reader }) => !reader.complete)
        .map(({ layerDigest }) => layerDigest),
    );
    const now = performance.now();
    const intervalMs = this.#intervalMs();
    for (const { imageRef, layerDigest } of layers) {
      if (!partial.has(layerDigest)) continue;
      const from = referenceOf(imageRef);
      if (from === null) continue;
      const key = `${nameOf(from)}@${layerDigest}`;
      const last = this.#checkedMs.get(key);
      if (last !== undefined && now - last < intervalMs) continue;
      if (this.#checkedMs.size >= MAX_REMEMBERED) this.#checkedMs.clear();
      this.#checkedMs.set(key, now);
      // Seen for the first time, it was opened a moment ago.
      if (last === undefined && intervalMs > 0) continue;
      this.#check(from, layerDigest as Digest);
    }
  }

  async #check(from: Reference, layer: Digest): Promise<void> {
    const { signal } = this.#stop;
    const told = { repository: nameOf(from), layer };
    try {
      await this.#client.range(from, layer, 0, 1, new Uint8Array(1), signal);
      log.debug("a layer's registry gives it", told);
    } catch (error) {
      if (signal.aborted) return;
      log.warn(
        "a layer's registry does not give it now; reads of what is not here will fail",
        {
          ...told,
          error: String(error),
        },
      );
    }
  }

  /** Ends checks that are under way. */
  [Symbol.dispose](): void {
    this.#stop.abort();
  }
}

function referenceOf(imageRef: string): Reference | null {
  try {
    return parseReference(imageRef);
  } catch (error) {
    if (!(error instanceof InvalidReferenceError)) throw error;
    return null;
  }
}
