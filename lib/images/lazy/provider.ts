import { type Digest, isDigest, parseManifest } from "../../formats/oci/mod.ts";
import {
  CRI_LABELS,
  type ImageLayer,
  type IndexedImage,
  layerIdentity,
  layerOfChain,
} from "../../remote/image/mod.ts";
import { parseReference, type Reference } from "../../remote/registry/mod.ts";
import type {
  LayerChain,
  LayerDirectory,
  LayerProvider,
  LayerRequest,
  OwnDirectories,
  ProvidedLayer,
  SnapshotUsage,
  StoredLayer,
} from "../snapshotter/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import {
  BackgroundFiller,
  type BackgroundOptions,
} from "../../layers/serving/mod.ts";
import type { ImageService } from "./open.ts";
import { ztocForLayer } from "../../formats/soci/mod.ts";
import { Failures, WHILE_PULLING } from "./failures.ts";
import { LayersAhead } from "./layers_ahead.ts";
import { nameOf } from "./source.ts";
import type { OpenLayer } from "../../layers/serving/mod.ts";
import { slotOf } from "../../layers/store/mod.ts";

const log = logger("images");

/** How long a layer that was opened ahead stays open while nobody asks for it, ms. */
const AHEAD_MS = 10 * 60_000;

/** What the provider does with layers beyond serving them. */
export interface ProviderOptions {
  /** Whether and when the rest of a layer is fetched without a reader. */
  readonly background: BackgroundOptions;
  /** What happens to a layer's cache when its last snapshot is removed. */
  readonly removedLayers: "discarded" | "kept";
}

/** The provider's use of a layer: one for all snapshots that are built on it. */
interface Use {
  /** Opening, or open. */
  readonly layer: Promise<OpenLayer>;
  /** Ends the use of a layer that was opened ahead. Null once somebody asked for it: then snapshots decide. */
  ahead: ReturnType<typeof setTimeout> | null;
  /** Its place among the layers that were opened ahead. */
  place: Disposable | null;
}

/** From now on it is not one of the layers that were opened ahead. */
function notAhead(use: Use): void {
  if (use.ahead !== null) clearTimeout(use.ahead);
  use.ahead = null;
  use.place?.[Symbol.dispose]();
  use.place = null;
}

/** A failure counts for one repository: another registry may serve the same layer. */
function failureKey(
  { reference: { host, repository } }: IndexedImage,
  layerDigest: string,
): string {
  return `${host}/${repository}@${layerDigest}`;
}

/** Gives the snapshotter the layers of images that have an index, and leaves all others to containerd. */
export class ImageLayerProvider implements LayerProvider, Disposable {
  /**
   * By layer digest, as snapshots name their layers. The image that asks first decides which ztoc a layer
   * is served by; `OpenLayer.identity` says which one that is.
   */
  readonly #uses = new Map<string, Use>();
  /** Layers that could not be opened a short time ago: containerd unpacks them. */
  readonly #failures = new Failures(WHILE_PULLING);
  readonly #stop = new AbortController();
  readonly #filler: BackgroundFiller;
  readonly #ahead = new LayersAhead();

  /** Opens nothing yet. @param images stays the caller's. */
  constructor(
    readonly images: ImageService,
    readonly options: ProviderOptions,
  ) {
    this.#filler = new BackgroundFiller(options.background);
  }

  async prepareLayer(request: LayerRequest): Promise<ProvidedLayer | null> {
    const wanted = layerIdentity(request.labels);
    if (wanted === null) return null; // an ordinary unpack
    const { imageRef, manifestDigest, layerDigest, indexDigest } = wanted;
    const image = await this.images.byManifest(
      parseReference(imageRef),
      manifestDigest,
      indexDigest,
    );
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
    const asked = this.#open(image, layer);
    this.#ask(layerDigest);
    // containerd asks for one layer at a time and waits, so the next ones are opened ahead.
    for (const above of image.layers.slice(layer.position + 1)) {
      if (this.#openAhead(image, above) === "no room") break;
    }
    const { directory, owner } = await asked;
    log.info("layer is served", { image: imageRef, layer: layerDigest });
    return { directory, owner, layerDigest };
  }

  #open(image: IndexedImage, layer: ImageLayer): Promise<OpenLayer> {
    const { digest } = layer.descriptor;
    const known = this.#uses.get(digest);
    if (known !== undefined) return this.#share(known, image.reference);
    const opening = this.images.openLayer(image, layer, this.#stop.signal);
    const key = failureKey(image, digest);
    opening.then(
      () => this.#failures.forget(key),
      (error) => this.#failures.add(key, error),
    );
    return this.#use(digest, opening);
  }

  /** Another image uses this layer already. From now on its bytes may come from either registry. */
  async #share({ layer }: Use, reference: Reference): Promise<OpenLayer> {
    const opened = await layer;
    if (opened.isServed) this.images.shareLayer(opened, reference);
    return opened;
  }

  /** Opens a layer that is likely to be asked for soon, and closes it if nobody asks. */
  #openAhead(image: IndexedImage, layer: ImageLayer): "no room" | null {
    const { digest } = layer.descriptor;
    if (this.#uses.has(digest)) return null;
    if (this.#failures.of(failureKey(image, digest)) !== null) return null;
    const ztoc = image.index && ztocForLayer(image.index.index, digest);
    const place = this.#ahead.enter(nameOf(image.reference), ztoc?.size ?? 0);
    if (place === null) return "no room";
    this.#open(image, layer).catch(() => {}); // told when it is asked for
    const use = this.#uses.get(digest)!;
    use.place = place;
    use.ahead = setTimeout(() => this.releaseLayer(digest), AHEAD_MS);
    Deno.unrefTimer(use.ahead);
    return null;
  }

  /** Somebody asks for the layer: from now on snapshots decide how long it stays open. */
  #ask(layerDigest: string): void {
    const use = this.#uses.get(layerDigest);
    if (use !== undefined) notAhead(use);
  }

  #use(layerDigest: string, layer: Promise<OpenLayer>): Promise<OpenLayer> {
    const use: Use = { layer, ahead: null, place: null };
    this.#uses.set(layerDigest, use);
    layer.then(
      (opened) => this.#filler.add(opened),
      () => this.#end(layerDigest, use), // it is not open
    );
    return layer;
  }

  /** Forgets a use and stops its timer. */
  #end(layerDigest: string, use: Use): void {
    notAhead(use);
    if (this.#uses.get(layerDigest) === use) this.#uses.delete(layerDigest);
  }

  async ownDirectories(chain: LayerChain): Promise<OwnDirectories | null> {
    const top = await this.#opened(chain.layerDigest);
    if (!top.mayInherit && chain.record === null) return null;
    const below = await Promise.all(
      chain.below.map((part) =>
        "folder" in part
          ? { files: part.folder }
          : this.#opened(part.layerDigest)
      ),
    );
    const { store } = this.images;
    const record = await store.chainRecord(top, below, chain.record);
    return record === null ? null : {
      record,
      write: (folder) => store.writeChain(record, folder),
    };
  }

  /** The open layer of a digest. @throws Error when it is not served. */
  async #opened(layerDigest: string): Promise<OpenLayer> {
    const use = this.#uses.get(layerDigest);
    if (use === undefined) throw new Error(`${layerDigest} is not served`);
    return await use.layer;
  }

  async restoreLayer(
    snapshot: StoredLayer,
    from: "disk" | "anywhere",
  ): Promise<LayerDirectory | null> {
    const { layerDigest, labels, directory } = snapshot;
    const imageRef = labels[CRI_LABELS.imageRef];
    if (layerDigest === null || !isDigest(layerDigest)) return null;
    this.#ask(layerDigest);
    const known = this.#uses.get(layerDigest);
    if (imageRef === undefined) return await known?.layer ?? null;
    const reference = parseReference(imageRef);
    if (known !== undefined) return await this.#share(known, reference);
    const slot = slotOf(directory);
    const layer = await this.images.store.restore(
      layerDigest,
      () =>
        this.images.blobs.source(
          reference,
          layerDigest,
          () => this.#sizeOf(snapshot, layerDigest),
        ),
      slot === null ? {} : { slot },
    );
    if (layer !== null) {
      const other = this.#uses.get(layerDigest);
      if (other !== undefined) {
        // Another snapshot of the same layer was first.
        this.images.store.release(layer.slot, { discard: false });
        return await this.#share(other, reference);
      }
      this.#use(layerDigest, Promise.resolve(layer));
      // No directory appears before the mounts are served; `LayerStore.serve` waits for all of them.
      if (this.images.store.serving) await layer.shown;
      return layer;
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
    // The row was made with the blob's digest, so any position with that digest will do.
    const again = image.layers.find(({ descriptor }) =>
      descriptor.digest === layerDigest
    );
    return again === undefined ? null : await this.#open(image, again);
  }

  /** Size of a layer's blob in bytes, from the manifest it came with. */
  async #sizeOf({ labels }: StoredLayer, layerDigest: Digest): Promise<number> {
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

  async releaseLayer(layerDigest: string): Promise<void> {
    const use = this.#uses.get(layerDigest);
    if (use === undefined) return;
    this.#end(layerDigest, use);
    const layer = await use.layer.catch(() => null);
    if (layer !== null) {
      this.images.store.release(layer.slot, {
        discard: this.options.removedLayers === "discarded",
      });
    }
  }

  async usage(layerDigest: string): Promise<SnapshotUsage> {
    const layer = await this.#uses.get(layerDigest)?.layer.catch(() => null);
    if (layer === undefined || layer === null) {
      return { sizeBytes: 0, inodes: 0 };
    }
    let sizeBytes = 0;
    for (let span = 0; span < layer.spans.count; span++) {
      if (layer.map.has(span)) {
        sizeBytes += layer.spans.end(span) - layer.spans.start(span);
      }
    }
    return { sizeBytes, inodes: layer.inodes };
  }

  /** Stops opening and filling. The store goes on serving what is open. */
  [Symbol.dispose](): void {
    this.#stop.abort(new Error("the daemon is stopping"));
    this.#filler[Symbol.dispose]();
    for (const { ahead } of this.#uses.values()) {
      if (ahead !== null) clearTimeout(ahead);
    }
  }
}
