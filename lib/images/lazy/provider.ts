import { type Digest, isDigest, parseManifest } from "../../formats/oci/mod.ts";
import {
  CRI_LABELS,
  type ImageLayer,
  type IndexedImage,
  layerIdentity,
  layerOfChain,
  ztocOf,
} from "../../remote/image/mod.ts";
import { parseReference } from "../../remote/registry/mod.ts";
import {
  type Labels,
  type LayerChain,
  type LayerProvider,
  type LayerRequest,
  NAMESPACE_LABEL,
  type OwnDirectories,
  type ProvidedLayer,
  type ServedLayer,
  type SnapshotUsage,
  type StoredLayer,
} from "../snapshotter/mod.ts";
import { countEvent, logger } from "../../telemetry/mod.ts";
import {
  BackgroundFiller,
  type BackgroundOptions,
  layerBytesOnDisk,
  type OpenLayer,
  ZtocRoomError,
} from "../../layers/serving/mod.ts";
import { BroughtFor } from "./brought_for.ts";
import type { Claimant } from "./claimants.ts";
import { Failures, WHILE_PULLING } from "./failures.ts";
import { LayersAhead } from "./layers_ahead.ts";
import { NO_NAMESPACE } from "./kept_blobs.ts";
import type { ImageService } from "./open.ts";
import { LayerUses, notAhead, served, type Use } from "./layer_uses.ts";
import { keyOf, providedImage } from "./provided_image.ts";
import { nameOf } from "./source.ts";
import { PrefetchLists, type PrefetchOptions } from "./prefetch_lists.ts";
import { ownDirectories } from "./own_directories.ts";
import { StoppingError } from "./stopping.ts";
import { PullsGivenUp } from "./pulls_given_up.ts";

const log = logger("images");

/** How long a layer that was opened ahead stays open while nobody asks for it, ms. */
const AHEAD_MS = 10 * 60_000;

/** What the provider does with layers beyond serving them. */
export interface ProviderOptions {
  /** Whether and when the rest of a layer is fetched without a reader. */
  readonly background: BackgroundOptions;
  /** Whether the prefetch lists of indexes are followed. */
  readonly prefetch: PrefetchOptions;
  /** What happens to a layer's cache when its last snapshot is removed. */
  readonly removedLayers: "discarded" | "kept";
}

/** A failure counts for one repository: another registry may serve the same layer. */
function failureKey(
  { reference: { host, repository } }: IndexedImage,
  layerDigest: string,
): string {
  return `${host}/${repository}@${layerDigest}`;
}

/**
 * Gives the snapshotter the layers of images that have an index, or that are taken whole, and leaves all others to
 * containerd.
 */
export class ImageLayerProvider implements LayerProvider, Disposable {
  readonly #uses: LayerUses;
  /** Layers that could not be opened a short time ago: containerd unpacks them. */
  readonly #failures = new Failures(WHILE_PULLING);
  readonly #stop = new AbortController();
  readonly #filler: BackgroundFiller;
  readonly #ahead = new LayersAhead();
  readonly #lists: PrefetchLists;
  readonly #pulls = new PullsGivenUp();

  /** Opens nothing yet. @param images stays the caller's. */
  constructor(
    /** Opens the layers. */
    readonly images: ImageService,
    /** What is done with them beyond that. */
    readonly options: ProviderOptions,
  ) {
    this.#filler = new BackgroundFiller(options.background);
    this.#lists = new PrefetchLists(
      images.client,
      images.store,
      options.prefetch,
    );
    this.#uses = new LayerUses((image, layer) =>
      images.replays.packOf(image, layer)
    );
  }

  /** What the background has to do. */
  get background(): BackgroundFiller["figures"] {
    return this.#filler.figures;
  }

  async imageKey(
    { labels, namespace }: Pick<LayerRequest, "labels" | "namespace">,
  ): Promise<string | null> {
    const wanted = layerIdentity(labels);
    if (wanted === null) return null;
    const claimant = await this.images.claimants.of(
      namespace ?? NO_NAMESPACE,
      parseReference(wanted.imageRef),
    );
    return keyOf(claimant, wanted);
  }

  async prepareLayer(request: LayerRequest): Promise<ProvidedLayer | null> {
    const wanted = layerIdentity(request.labels);
    if (wanted === null) return null; // an ordinary unpack
    const { imageRef, manifestDigest, layerDigest, indexDigest } = wanted;
    const reference = parseReference(imageRef);
    const [found, claimant] = await Promise.all([
      this.images.byManifest(reference, manifestDigest, indexDigest),
      this.images.claimants.of(request.namespace ?? NO_NAMESPACE, reference),
    ]);
    const image = this.images.policies.take(found, request.labels);
    if (image.index === null && !this.images.takesWhole(image)) {
      countEvent("not_lazy", "no index");
      log.info("image has no index, containerd unpacks it", {
        image: imageRef,
        manifest: manifestDigest,
        layer: layerDigest,
      });
      return null;
    }
    const layer = layerOfChain(image, request, layerDigest);
    const failure = this.#failures.of(failureKey(image, layerDigest));
    if (failure !== null) throw failure.error;
    this.images.replays.begin(image, request.labels);
    const key = keyOf(claimant, wanted);
    const pull = image.index === null ? key : null;
    const asked = this.#open(image, layer, claimant, pull);
    notAhead(asked);
    // containerd asks for one layer at a time and waits, so the next ones are opened ahead.
    for (const above of image.layers.slice(layer.position + 1)) {
      if (this.#openAhead(image, above, claimant, pull) === "no room") break;
    }
    const uses = image.layers.slice(0, layer.position)
      .map((lower) => this.#openBelow(image, lower, claimant, pull));
    const all = async () => {
      const opened = served(await asked.layer);
      for (const use of uses) if (use?.open === null) await opening(use);
      return opened;
    };
    let opened: ServedLayer;
    try {
      opened = pull === null
        ? await all()
        : await this.#pulls.during(pull, request.signal, all());
    } catch (error) {
      // Nobody knows of it: as if it had been opened ahead.
      if (request.signal.aborted) this.#endLater(asked);
      throw error;
    }
    // Null where one cannot be opened: the error comes again when it is asked for.
    const below = uses.map((use) => use?.open ?? null);
    for (const use of uses) if (use !== null) notAhead(use);
    log.info("layer is served", { image: imageRef, layer: layerDigest });
    if (layer.position === image.layers.length - 1) {
      this.images.shown(image, claimant, this.#openLayers([...uses, asked]));
    }
    return { ...opened, below, image: providedImage(image, claimant, key) };
  }

  /** @param pull names what the layer is opened for: it ends with that. Default: it ends with the daemon. */
  #open(
    image: IndexedImage,
    layer: ImageLayer,
    claimant: Claimant,
    pull: string | null,
  ): Use {
    const known = this.#known(image, layer, claimant, pull);
    if (known !== null) return known;
    const brought = new BroughtFor();
    brought.join(pull === null ? null : this.#pulls.signal(pull));
    const signal = AbortSignal.any([this.#stop.signal, brought.signal]);
    const opening = this.images.openLayer(image, layer, claimant, signal);
    const failure = failureKey(image, layer.descriptor.digest);
    opening.then(
      (opened) => {
        this.#failures.forget(failure);
        this.#lists.run(image, opened, this.#stop.signal);
      },
      (error) => {
        if (brought.signal.aborted) return; // says nothing of the layer
        if (error instanceof ZtocRoomError) return; // looking again costs nothing
        this.#failures.add(failure, error);
      },
    );
    const key = this.#uses.keyOf(image, layer, claimant);
    return this.#use(
      { key, claimant: claimant.id, layer: opening, brought },
      this.images.policies.isCompleted(image) ? "soon" : "later",
    );
  }

  /** The use of a layer, from now on for this pull, too; null where there is none that will open. */
  #known(
    image: IndexedImage,
    layer: ImageLayer,
    claimant: Claimant,
    pull: string | null,
  ): Use | null {
    const known = this.#uses.of(image, layer, claimant);
    if (known === undefined || known.open !== null) return known ?? null;
    const left = pull === null ? null : this.#pulls.signal(pull);
    if (known.brought.join(left)) return known;
    this.#leave(known);
    return null;
  }

  /** Opens a layer that is likely to be asked for soon, and closes it if nobody asks. */
  #openAhead(
    image: IndexedImage,
    layer: ImageLayer,
    claimant: Claimant,
    pull: string | null,
  ): "no room" | null {
    const { digest } = layer.descriptor;
    const known = this.#known(image, layer, claimant, pull);
    if (known !== null) {
      if (known.ahead !== null) this.#endLater(known);
      return null;
    }
    if (this.#failures.of(failureKey(image, digest)) !== null) return null;
    const size = ztocOf(image, digest)?.size ?? 0;
    const place = this.#ahead.enter(nameOf(image.reference), size);
    if (place === null) return "no room";
    const use = this.#open(image, layer, claimant, pull);
    use.layer.catch(() => {}); // the error comes again when it is asked for
    use.place = place;
    this.#endLater(use);
    return null;
  }

  /**
   * Opens a layer below the one that is asked for. Mostly it is open already.
   * @returns null where it failed a short time ago.
   */
  #openBelow(
    image: IndexedImage,
    layer: ImageLayer,
    claimant: Claimant,
    pull: string | null,
  ): Use | null {
    const known = this.#known(image, layer, claimant, pull);
    if (known !== null) {
      if (known.ahead !== null) this.#endLater(known);
      return known;
    }
    const { digest } = layer.descriptor;
    if (this.#failures.of(failureKey(image, digest)) !== null) return null;
    const use = this.#open(image, layer, claimant, pull);
    use.layer.catch(() => {}); // the error comes again when it is asked for
    this.#endLater(use);
    return use;
  }

  #openLayers(uses: readonly (Use | null)[]): OpenLayer[] {
    return uses.flatMap((use) =>
      use?.open == null ? [] : this.images.store.served(use.open.slot) ?? []
    );
  }

  #endLater(use: Use): void {
    if (use.ahead !== null) clearTimeout(use.ahead);
    use.ahead = setTimeout(() => {
      // One that is taken whole may still be on its way, and those below it, too.
      if (use.open === null && !use.hasEnded) this.#endLater(use);
      else this.#leave(use);
    }, AHEAD_MS);
    Deno.unrefTimer(use.ahead);
  }

  #use(
    of: Parameters<LayerUses["add"]>[0],
    filled: "soon" | "later",
  ): Use {
    return this.#uses.add(of, (opened) => this.#filler.add(opened, filled));
  }

  async #leave(use: Use): Promise<void> {
    this.#uses.end(use);
    const layer = await use.layer.catch(() => null);
    if (layer === null) return;
    layer.removeSource(use.claimant);
    this.images.store.release(layer.slot, {
      discard: this.options.removedLayers === "discarded",
    });
  }

  async restoreLayer(
    stored: StoredLayer,
    from: "disk" | "anywhere",
  ): Promise<ServedLayer | null> {
    const { slot, claimant, layerDigest, labels } = stored;
    if (!isDigest(layerDigest)) return null;
    const [known] = this.#uses.inSlot(slot, claimant);
    if (known !== undefined) return served(await known.layer);
    const imageRef = labels[CRI_LABELS.imageRef];
    if (imageRef === undefined) return null;
    const reference = parseReference(imageRef);
    const { store, blobs } = this.images;
    const layer = await store.restore(
      layerDigest,
      () =>
        blobs.source(
          reference,
          layerDigest,
          () => this.#sizeOf(labels, layerDigest),
        ),
      slot === 0 ? { claimant } : { slot, claimant },
    );
    if (layer !== null) {
      if (this.#uses.inSlot(layer.slot, claimant).length > 0) {
        // Another snapshot of the same layer was first.
        layer.removeSource(claimant);
        store.release(layer.slot, { discard: false });
        return served(layer);
      }
      const key = `${claimant} at ${layer.slot}`;
      const brought = new BroughtFor();
      this.#use(
        { key, claimant, layer: Promise.resolve(layer), brought },
        this.images.policies.completes(reference, labels) ? "soon" : "later",
      ).open = served(layer);
      if (claimant === "") {
        // A release before claims opened it for this image, which counts as its claim.
        this.images.claimants
          .of(labels[NAMESPACE_LABEL] ?? NO_NAMESPACE, reference)
          .then(({ id }) => store.adopt(layer.slot, id))
          .catch((error) =>
            log.warn("whose a layer is cannot be told", {
              layer: layerDigest,
              error: String(error),
            })
          );
      }
      // No directory appears before the mounts are served; `LayerStore.serve` waits for all of them.
      if (store.serving) await layer.shown;
      return served(layer);
    }
    const wanted = layerIdentity(labels);
    if (from === "disk" || wanted === null) return null;
    log.warn("layer is not on this disk any more, its index is asked for", {
      image: imageRef,
      layer: layerDigest,
    });
    const found = await this.images.byManifest(
      reference,
      wanted.manifestDigest,
      wanted.indexDigest,
      { failed: "ask again" },
    );
    const image = this.images.policies.take(found, labels);
    // The row was made with the blob's digest, so any position with that digest will do.
    const again = image.layers.find(({ descriptor }) =>
      descriptor.digest === layerDigest
    );
    if (again === undefined) return null;
    const asking = await this.images.claimants.of(
      labels[NAMESPACE_LABEL] ?? NO_NAMESPACE,
      reference,
    );
    // It had a layer with a pack if the image has one: it is to get that one again.
    this.images.replays.begin(image, labels);
    // The snapshot keeps its claimant, although the credentials may have changed.
    const use = this.#open(image, again, { ...asking, id: claimant }, null);
    const opened = served(await use.layer);
    notAhead(use);
    return opened;
  }

  /** Size of a layer's blob in bytes, from the manifest it came with. */
  async #sizeOf(labels: Labels, layerDigest: Digest): Promise<number> {
    const wanted = layerIdentity(labels);
    if (wanted === null) {
      throw new Error(`no manifest is known that layer ${layerDigest} is of`);
    }
    const { imageRef, manifestDigest: digest } = wanted;
    const { bytes, descriptor } = await this.images.client.manifest(
      parseReference(imageRef),
      { digest },
    );
    const layer = parseManifest(bytes, descriptor.mediaType).layers.find((
      one,
    ) => one.digest === layerDigest);
    if (layer === undefined) {
      throw new Error(`layer ${layerDigest} is not in manifest ${digest}`);
    }
    return layer.size;
  }

  async releaseLayer(
    { slot, claimant }: Pick<StoredLayer, "slot" | "claimant">,
  ): Promise<void> {
    for (const use of this.#uses.inSlot(slot, claimant)) {
      await this.#leave(use);
    }
  }

  ownDirectories(chain: LayerChain): Promise<OwnDirectories | null> {
    return ownDirectories(chain, this.images.store);
  }

  async proveLayer(slot: number, signal: AbortSignal): Promise<string | null> {
    const layer = this.images.store.served(slot);
    if (layer === null || !await layer.proof.whenProven(signal)) return null;
    return layer.proof.provenDiffId;
  }

  usage(slot: number): Promise<SnapshotUsage> {
    const layer = this.images.store.served(slot);
    if (layer === null) return Promise.resolve({ sizeBytes: 0, inodes: 0 });
    const sizeBytes = layerBytesOnDisk(this.images.store.root, slot);
    return Promise.resolve({ sizeBytes, inodes: layer.inodes });
  }

  /** Stops opening and filling. The store goes on serving what is open. */
  [Symbol.dispose](): void {
    this.#stop.abort(new StoppingError());
    this.#filler[Symbol.dispose]();
    this.#pulls[Symbol.dispose]();
    for (const { ahead } of this.#uses.all()) {
      if (ahead !== null) clearTimeout(ahead);
    }
  }
}

/** Waits until a layer is open, or cannot be opened. */
async function opening({ layer }: Use): Promise<void> {
  try {
    await layer;
  } catch {
    // The error comes again when it is asked for.
  }
}
