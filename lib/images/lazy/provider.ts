import { type Digest, isDigest, parseManifest } from "../../formats/oci/mod.ts";
import {
  CRI_LABELS,
  type ImageLayer,
  type IndexedImage,
  type LayerIdentity,
  layerIdentity,
  layerOfChain,
} from "../../remote/image/mod.ts";
import { parseReference } from "../../remote/registry/mod.ts";
import {
  type Labels,
  type LayerProvider,
  type LayerRequest,
  NAMESPACE_LABEL,
  type ProvidedImage,
  type ProvidedLayer,
  type ServedLayer,
  type SnapshotUsage,
  type StoredLayer,
} from "../snapshotter/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import {
  BackgroundFiller,
  type BackgroundOptions,
} from "../../layers/serving/mod.ts";
import { ztocForLayer } from "../../formats/soci/mod.ts";
import type { Claimant } from "./claimants.ts";
import { Failures, WHILE_PULLING } from "./failures.ts";
import { type ImageService, NO_NAMESPACE } from "./open.ts";
import type { OpenLayer } from "../../layers/serving/mod.ts";

const log = logger("images");

/** How long a layer that was opened ahead is kept while nobody asks for it, ms. */
const AHEAD_MS = 10 * 60_000;

/** What becomes of layers. */
export interface ProviderOptions {
  /** Whether and when layers are completed that nobody reads. */
  readonly background: BackgroundOptions;
  /** Caches of layers whose last snapshot was removed. */
  readonly removedLayers: "discarded" | "kept";
}

/** One use of a layer, for all snapshots of one claimant that are built on it. */
interface Use {
  readonly claimant: string;
  /** Opening, or open. */
  readonly layer: Promise<OpenLayer>;
  /** Of the open layer. */
  slot: number | null;
  /** Ends the use; null once somebody has asked for the layer: then snapshots decide. */
  ahead: ReturnType<typeof setTimeout> | null;
}

/** The same layer may be well at another registry. */
function failureKey(
  { reference: { host, repository } }: IndexedImage,
  layerDigest: string,
): string {
  return `${host}/${repository}@${layerDigest}`;
}

/** Gives the snapshotter layers of images that have an index; leaves all others to containerd. */
export class ImageLayerProvider implements LayerProvider, Disposable {
  /** By claimant, layer and ztoc: which served layer that is `LayerStore.claim` decides. */
  readonly #uses = new Map<string, Use>();
  /** Layers that could not be opened lately: containerd unpacks them. */
  readonly #failures = new Failures(WHILE_PULLING);
  readonly #stop = new AbortController();
  readonly #filler: BackgroundFiller;

  /** Opens nothing yet. @param images stays the caller's. */
  constructor(
    /** Opens layers. */
    readonly images: ImageService,
    /** What becomes of them. */
    readonly options: ProviderOptions,
  ) {
    this.#filler = new BackgroundFiller(options.background);
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
    const [image, claimant] = await Promise.all([
      this.images.byManifest(reference, manifestDigest, indexDigest),
      this.images.claimants.of(request.namespace ?? NO_NAMESPACE, reference),
    ]);
    if (image.index === null) {
      log.info("image has no index, containerd unpacks it", {
        image: imageRef,
        manifest: manifestDigest,
        layer: layerDigest,
      });
      return null;
    }
    const layer = layerOfChain(image, request.chainId, layerDigest);
    const failure = this.#failures.of(failureKey(image, layerDigest));
    if (failure !== null) throw failure.error;
    const asked = this.#ask(image, layer, claimant);
    const below = image.layers.slice(0, layer.position).map((lower) =>
      this.#failures.of(failureKey(image, lower.descriptor.digest)) !== null
        ? null
        : this.#ask(image, lower, claimant)
          .then(served, () => null) // told when it is asked for
    );
    // containerd asks layer by layer and waits; the others are made ready meanwhile.
    for (const layer of image.layers) this.#openAhead(image, layer, claimant);
    const opened = served(await asked);
    log.info("layer is served", { image: imageRef, layer: layerDigest });
    return {
      ...opened,
      below: await Promise.all(below),
      image: providedImage(image, claimant, keyOf(claimant, wanted)),
    };
  }

  /** A layer that snapshots keep from now on. */
  #ask(
    image: IndexedImage,
    layer: ImageLayer,
    claimant: Claimant,
  ): Promise<OpenLayer> {
    const use = this.#open(image, layer, claimant);
    if (use.ahead !== null) clearTimeout(use.ahead);
    use.ahead = null;
    return use.layer;
  }

  #open(image: IndexedImage, layer: ImageLayer, claimant: Claimant): Use {
    const key = useKey(image, layer, claimant);
    const known = this.#uses.get(key);
    if (known !== undefined) return known;
    const opening = this.images.openLayer(
      image,
      layer,
      claimant,
      this.#stop.signal,
    );
    const failure = failureKey(image, layer.descriptor.digest);
    opening.then(
      () => this.#failures.forget(failure),
      (error) => this.#failures.add(failure, error),
    );
    return this.#use(key, claimant.id, opening);
  }

  /** Opens a layer that is likely to be asked for soon; let go of when it is not. */
  #openAhead(image: IndexedImage, layer: ImageLayer, claimant: Claimant): void {
    const key = useKey(image, layer, claimant);
    if (this.#uses.has(key)) return;
    const { digest } = layer.descriptor;
    if (this.#failures.of(failureKey(image, digest)) !== null) return;
    const use = this.#open(image, layer, claimant);
    use.layer.catch(() => {}); // told when it is asked for
    use.ahead = setTimeout(() => this.#leave(key, use), AHEAD_MS);
    Deno.unrefTimer(use.ahead);
  }

  #use(key: string, claimant: string, layer: Promise<OpenLayer>): Use {
    const use: Use = { layer, claimant, slot: null, ahead: null };
    this.#uses.set(key, use);
    layer.then(
      (opened) => {
        use.slot = opened.slot;
        this.#filler.add(opened);
      },
      () => this.#end(key, use), // not kept as if it were open
    );
    return use;
  }

  /** Forgets a use, and what would end it. */
  #end(key: string, use: Use): void {
    if (use.ahead !== null) clearTimeout(use.ahead);
    if (this.#uses.get(key) === use) this.#uses.delete(key);
  }

  async #leave(key: string, use: Use): Promise<void> {
    this.#end(key, use);
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
    for (const use of this.#uses.values()) {
      if (use.slot === slot && use.claimant === claimant) {
        return served(await use.layer);
      }
    }
    const imageRef = labels[CRI_LABELS.imageRef];
    if (imageRef === undefined) return null;
    const reference = parseReference(imageRef);
    const { store, blobs } = this.images;
    const layer = store.restore(
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
      this.#use(
        `${claimant} at ${layer.slot}`,
        claimant,
        Promise.resolve(layer),
      ).slot = layer.slot;
      if (claimant === "") {
        // An older release opened it for this image: that counts as proof.
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
      // Before the mounts are served no directory can be; `LayerStore.serve` waits for all.
      if (store.serving) await layer.shown;
      return served(layer);
    }
    const wanted = layerIdentity(labels);
    if (from === "disk" || wanted === null) return null;
    log.warn("layer is not on this disk any more, its index is asked for", {
      image: imageRef,
      layer: layerDigest,
    });
    const image = await this.images.byManifest(
      reference,
      wanted.manifestDigest,
      wanted.indexDigest,
      { failed: "ask again" },
    );
    // The blob's digest is what the row was made with; any position of it will do.
    const again = image.layers.find(({ descriptor }) =>
      descriptor.digest === layerDigest
    );
    if (again === undefined) return null;
    const asking = await this.images.claimants.of(
      labels[NAMESPACE_LABEL] ?? NO_NAMESPACE,
      reference,
    );
    // The snapshot goes on under the name it has: its credentials may be others by now.
    return served(await this.#ask(image, again, { ...asking, id: claimant }));
  }

  /** Bytes of a layer's blob, as the manifest has it that it came with. */
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
    for (const [key, use] of [...this.#uses]) {
      if (use.slot === slot && use.claimant === claimant) {
        await this.#leave(key, use);
      }
    }
  }

  async proveLayer(slot: number, signal: AbortSignal): Promise<string | null> {
    const layer = this.images.store.served(slot);
    if (layer === null || !await layer.whenProven(signal)) return null;
    return layer.provenDiffId;
  }

  usage(slot: number): Promise<SnapshotUsage> {
    const layer = this.images.store.served(slot);
    if (layer === null) return Promise.resolve({ sizeBytes: 0, inodes: 0 });
    let sizeBytes = 0;
    for (let span = 0; span < layer.spans.count; span++) {
      if (layer.map.has(span)) {
        sizeBytes += layer.spans.end(span) - layer.spans.start(span);
      }
    }
    return Promise.resolve({ sizeBytes, inodes: layer.inodes });
  }

  /** Stops opening and filling; what is served stays served by the store. */
  [Symbol.dispose](): void {
    this.#stop.abort(new Error("the daemon is stopping"));
    this.#filler[Symbol.dispose]();
    for (const { ahead } of this.#uses.values()) {
      if (ahead !== null) clearTimeout(ahead);
    }
  }
}

function served(
  { slot, layerDigest, directory, owner }: OpenLayer,
): ServedLayer {
  return { slot, layerDigest, directory, owner };
}

function useKey(
  { index }: IndexedImage,
  { descriptor: { digest }, diffId }: ImageLayer,
  { id }: Claimant,
): string {
  const ztoc = index === null ? null : ztocForLayer(index.index, digest);
  return `${id} ${digest} ${diffId} ${ztoc?.digest ?? "whole"}`;
}

/** Equal for equal layers by equal ztocs, as far as an image of that name can say. */
function keyOf(claimant: Claimant, wanted: LayerIdentity): string {
  const { manifestDigest, indexDigest } = wanted;
  return `${claimant.id} ${manifestDigest} ${indexDigest ?? ""}`;
}

function providedImage(
  { reference, descriptor, index, layers }: IndexedImage,
  { id, namespace, host, repository, fingerprint }: Claimant,
  key: string,
): ProvidedImage {
  return {
    ...{ key, claimant: id, namespace, host, repository, fingerprint },
    reference: reference.toString(),
    manifestDigest: descriptor.digest,
    indexDigest: index?.digest ?? null,
    layers: layers.map(({ descriptor: { digest }, diffId }) => ({
      digest,
      diffId,
      ztocDigest: index === null
        ? null
        : ztocForLayer(index.index, digest)?.digest ?? null,
    })),
  };
}
