import { setImmediate } from "node:timers";
import { logger } from "../../telemetry/mod.ts";
import { SnapshotError } from "./errors.ts";
import type {
  LayerDirectory,
  LayerProvider,
  LayerRequest,
  ProvidedLayer,
} from "./provider.ts";
import type { SnapshotRow, SnapshotStore } from "./store.ts";

const log = logger("snapshotter");

/** How many layers are restored in parallel after a restart. */
const RESTORE_CONCURRENCY = 8;

/**
 * The lazily served layers behind committed snapshots: where each is shown in this run of the daemon, and
 * when the provider may release it.
 *
 * A layer is released only while no `prepareLayer` runs. Otherwise the removal of an old snapshot could
 * release a layer that was just provided for a new one.
 */
export class LazyLayers {
  readonly #provider: LayerProvider;
  readonly #store: SnapshotStore;
  /** Snapshot number → where its layer is shown in this run. Missing: not restored yet. */
  readonly #shown = new Map<number, LayerDirectory>();
  readonly #restoring = new Map<number, Promise<LayerDirectory | null>>();
  readonly #unused = new Set<string>();
  #preparing = 0;
  #releasing: Promise<void> = Promise.resolve();

  /** @param store says which layers are still in use. */
  constructor(provider: LayerProvider, store: SnapshotStore) {
    this.#provider = provider;
    this.#store = store;
  }

  /**
   * Asks for a layer. If there is one, passes it to `use` before anything can release it.
   * @returns null when containerd must unpack the layer.
   */
  async provide<T>(
    request: LayerRequest,
    use: (layer: ProvidedLayer) => Promise<T>,
  ): Promise<T | null> {
    await this.settled();
    this.#preparing++;
    try {
      const layer = await this.#ask(request);
      if (layer === null) return null;
      this.#unused.add(layer.layerDigest); // `use` may fail: checked in `finally`
      return await use(layer);
    } finally {
      this.#preparing--;
      this.#releaseUnused();
    }
  }

  async #ask(request: LayerRequest): Promise<ProvidedLayer | null> {
    try {
      const layer = await this.#provider.prepareLayer(request);
      if (!request.signal.aborted) return layer;
      if (layer !== null) this.#unused.add(layer.layerDigest);
    } catch (error) {
      if (!request.signal.aborted) {
        log.warn("layer cannot be served lazily, containerd unpacks it", {
          chainId: request.chainId,
          image: request.labels["containerd.io/snapshot/cri.image-ref"],
          layerDigest:
            request.labels["containerd.io/snapshot/cri.layer-digest"],
          error,
        });
        return null;
      }
    }
    throw new SnapshotError(
      "cancelled",
      request.key,
      `the caller gave up preparing ${request.chainId}`,
      { cause: request.signal.reason },
    );
  }

  /** Remembers where a new snapshot's layer is shown. */
  opened(row: SnapshotRow, layer: LayerDirectory): void {
    this.#shown.set(row.id, layer);
  }

  /** Forgets a removed snapshot, and releases its layer when no other snapshot uses it. */
  removed(row: SnapshotRow): void {
    if (row.layer === null) return;
    this.#shown.delete(row.id);
    this.#unused.add(row.layer.layerDigest);
    this.#releaseUnused();
  }

  /** Restores the layers of all lazy snapshots of the last run. One that fails is tried again when it is needed. */
  async restoreAll(): Promise<void> {
    const waiting = this.#store.lazy();
    const next = async (): Promise<void> => {
      for (
        let row = waiting.shift();
        row !== undefined;
        row = waiting.shift()
      ) {
        await this.#restore(row, "disk");
        // New connections must get an answer to their handshake within a second.
        await new Promise<void>((resolve) => setImmediate(resolve));
      }
    };
    await Promise.all(Array.from({ length: RESTORE_CONCURRENCY }, next));
  }

  /**
   * Where a lazy snapshot's layer is shown.
   * @throws SnapshotError `unavailable` when it cannot be shown now.
   */
  async shown(row: SnapshotRow): Promise<LayerDirectory> {
    const shown = this.#shown.get(row.id) ??
      await this.#restore(row, "anywhere");
    if (shown === null) {
      throw new SnapshotError(
        "unavailable",
        row.name,
        `layer ${row.layer?.layerDigest} of snapshot ${row.name} cannot be served now`,
      );
    }
    return shown;
  }

  /** Resolves when no release runs. */
  async settled(): Promise<void> {
    let seen: Promise<void>;
    do {
      seen = this.#releasing;
      await seen;
    } while (seen !== this.#releasing);
  }

  #restore(
    row: SnapshotRow,
    from: "disk" | "anywhere",
  ): Promise<LayerDirectory | null> {
    let restoring = this.#restoring.get(row.id);
    if (restoring === undefined) {
      restoring = this.#restoreNow(row, from)
        .finally(() => this.#restoring.delete(row.id));
      this.#restoring.set(row.id, restoring);
    }
    return restoring;
  }

  async #restoreNow(
    row: SnapshotRow,
    from: "disk" | "anywhere",
  ): Promise<LayerDirectory | null> {
    try {
      const restored = await this.#provider.restoreLayer({
        id: String(row.id),
        labels: row.labels,
        directory: row.layer?.directory ?? null,
        layerDigest: row.layer?.layerDigest ?? null,
      }, from);
      if (restored === null) return null;
      if (restored.directory !== row.layer?.directory) {
        this.#store.moveLayer(row.id, restored.directory);
      }
      this.#shown.set(row.id, restored);
      return restored;
    } catch (error) {
      log.warn("lazy layer could not be restored", {
        snapshot: row.name,
        layerDigest: row.layer?.layerDigest,
        error,
      });
      return null;
    }
  }

  #releaseUnused(): void {
    if (this.#preparing > 0) return;
    for (const layerDigest of this.#unused) {
      this.#unused.delete(layerDigest);
      if (this.#store.usesLayer(layerDigest)) continue;
      this.#releasing = this.#releasing
        .then(() => this.#provider.releaseLayer(layerDigest))
        .catch((error) =>
          log.warn("layer could not be released", { layerDigest, error })
        );
    }
  }
}
