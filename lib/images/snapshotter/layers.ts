import { setImmediate } from "node:timers";
import { CRI_LABELS } from "../../remote/image/mod.ts";
import { countEvent, logger } from "../../telemetry/mod.ts";
import { SnapshotError } from "./errors.ts";
import type {
  LayerProvider,
  LayerRequest,
  ProvidedLayer,
  ServedLayer,
} from "./provider.ts";
import type { SnapshotStore } from "./store.ts";
import type { LayerUse } from "./uses.ts";
import type { Labels } from "./types.ts";

const log = logger("snapshotter");

/** A layer that a claimant uses. */
type Use = Pick<LayerUse, "slot" | "claimant">;

const keyOf = ({ slot, claimant }: Use) => `${slot} ${claimant}`;

/** The layers that a provided layer keeps: those below it, and itself. */
function usesOf(layer: ProvidedLayer): readonly Use[] {
  const { claimant } = layer.image;
  return [...layer.below, layer].filter((each) => each !== null)
    .map(({ slot }) => ({ slot, claimant }));
}

/** How many layers are restored in parallel after a restart. */
const RESTORE_CONCURRENCY = 8;
/** How long a start waits for what has to be fetched again before anything can be served, ms. */
const FETCH_LOST_MS = 5_000;

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
  /** Slot → claimant → where the layer is shown in this run. Missing: not restored yet. */
  readonly #shown = new Map<number, Map<string, ServedLayer>>();
  readonly #restoring = new Map<string, Promise<ServedLayer | null>>();
  readonly #unused = new Map<string, Use>();
  #preparing = 0;
  #releasing: Promise<void> = Promise.resolve();

  /** @param store says which layers are still in use. */
  constructor(provider: LayerProvider, store: SnapshotStore) {
    this.#provider = provider;
    this.#store = store;
  }

  /**
   * Asks for a layer. If there is one, passes it to `use` before anything can release it.
   * @param use stores a snapshot that keeps the layer; null or an error: there is none.
   * @returns null when containerd must unpack the layer.
   */
  async provide<T>(
    request: LayerRequest,
    use: (layer: ProvidedLayer) => Promise<T | null>,
  ): Promise<T | null> {
    await this.settled();
    this.#preparing++;
    try {
      const layer = await this.#ask(request);
      if (layer === null) return null;
      try {
        const used = await use(layer);
        if (used === null) this.#look(usesOf(layer));
        return used;
      } catch (error) {
        this.#look(usesOf(layer)); // `finally` releases what no snapshot uses
        throw error;
      }
    } finally {
      this.#preparing--;
      this.#releaseUnused();
    }
  }

  async #ask(request: LayerRequest): Promise<ProvidedLayer | null> {
    try {
      const layer = await this.#provider.prepareLayer(request);
      if (!request.signal.aborted) return layer;
      if (layer !== null) this.#look(usesOf(layer));
    } catch (error) {
      if (!request.signal.aborted) {
        countEvent("not_lazy", "error");
        log.warn("layer cannot be served lazily, containerd unpacks it", {
          chainId: request.chainId,
          image: request.labels[CRI_LABELS.imageRef],
          layerDigest: request.labels[CRI_LABELS.layerDigest],
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

  /** Remembers where a new snapshot's layers are shown. */
  opened(layer: ProvidedLayer): void {
    const { claimant } = layer.image;
    for (const shown of [...layer.below, layer]) {
      if (shown !== null) this.#remember(claimant, shown);
    }
  }

  #remember(claimant: string, shown: ServedLayer): void {
    const { slot, layerDigest, directory, owner } = shown;
    const known = this.#shown.getOrInsertComputed(slot, () => new Map());
    if (known.get(claimant)?.directory === directory) return;
    known.set(claimant, { slot, layerDigest, directory, owner });
  }

  #forget({ slot, claimant }: Use): void {
    const known = this.#shown.get(slot);
    known?.delete(claimant);
    if (known?.size === 0) this.#shown.delete(slot);
  }

  /** A snapshot that kept these layers was removed. Releases the layers that no other snapshot keeps. */
  removed(uses: readonly Use[]): void {
    this.#look(uses);
    this.#releaseUnused();
  }

  /** Layers that may have no snapshot: they are released as soon as none is being prepared. */
  #look(uses: readonly Use[]): void {
    for (const { slot, claimant } of uses) {
      const use = { slot, claimant };
      this.#unused.set(keyOf(use), use);
    }
  }

  /**
   * Restores the layers of all lazy snapshots of the last run. What is lost on this disk is asked for at once, as
   * containers may be reading it; the start waits a while for that. One that fails is tried again when it is needed.
   */
  async restoreAll(): Promise<void> {
    const waiting = this.#store.allUses();
    const lost: typeof waiting = [];
    const next = async (): Promise<void> => {
      for (
        let use = waiting.shift();
        use !== undefined;
        use = waiting.shift()
      ) {
        const restored = await this.#restore(use, use.labels, "disk");
        if (restored === null) lost.push(use);
        // New connections must get an answer to their handshake within a second.
        await new Promise<void>((resolve) => setImmediate(resolve));
      }
    };
    await Promise.all(Array.from({ length: RESTORE_CONCURRENCY }, next));
    if (lost.length === 0) return;
    const timer = Promise.withResolvers<void>();
    const late = setTimeout(timer.resolve, FETCH_LOST_MS);
    await Promise.race([
      Promise.all(
        lost.map((use) => this.#restore(use, use.labels, "anywhere")),
      ),
      timer.promise,
    ]);
    clearTimeout(late);
  }

  /**
   * Where a layer is shown.
   * @param row the snapshot that keeps it.
   * @throws SnapshotError `unavailable` when it cannot be shown now.
   */
  async shown(
    use: LayerUse,
    row: { readonly name: string; readonly labels: Labels },
  ): Promise<ServedLayer> {
    const { name, labels } = row;
    const shown = this.#shown.get(use.slot)?.get(use.claimant) ??
      await this.#restore(use, labels, "anywhere");
    if (shown === null) {
      throw new SnapshotError(
        "unavailable",
        name,
        `layer ${use.layerDigest} of snapshot ${name} cannot be served now`,
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
    use: LayerUse,
    labels: Labels,
    from: "disk" | "anywhere",
  ): Promise<ServedLayer | null> {
    const key = keyOf(use);
    let restoring = this.#restoring.get(key);
    if (restoring === undefined) {
      restoring = this.#restoreNow(use, labels, from)
        .finally(() => this.#restoring.delete(key));
      this.#restoring.set(key, restoring);
    }
    return restoring;
  }

  async #restoreNow(
    use: LayerUse,
    labels: Labels,
    from: "disk" | "anywhere",
  ): Promise<ServedLayer | null> {
    const { slot, claimant, directory, layerDigest } = use;
    try {
      const stored = { slot, claimant, directory, layerDigest, labels };
      const restored = await this.#provider.restoreLayer(stored, from);
      if (restored === null) return null;
      if (restored.slot !== slot || restored.directory !== directory) {
        this.#store.moveLayer(use, restored);
      }
      this.#remember(claimant, restored);
      return restored;
    } catch (error) {
      log.warn("lazy layer could not be restored", {
        slot,
        layerDigest,
        error,
      });
      return null;
    }
  }

  #releaseUnused(): void {
    if (this.#preparing > 0) return;
    for (const [key, use] of this.#unused) {
      this.#unused.delete(key);
      if (this.#store.usesLayer(use)) continue;
      this.#forget(use);
      this.#releasing = this.#releasing
        .then(() => this.#provider.releaseLayer(use))
        .catch((error) =>
          log.warn("layer could not be released", { ...use, error })
        );
    }
  }
}
