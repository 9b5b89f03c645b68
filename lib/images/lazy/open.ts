import { IndexingError } from "../../layers/builder/mod.ts";
import {
  type Descriptor,
  type Digest,
  layerCompression,
  type Platform,
} from "../../formats/oci/mod.ts";
import {
  ImageError,
  type ImageLayer,
  type IndexedImage,
} from "../../remote/image/mod.ts";
import type { Reference, RegistryClient } from "../../remote/registry/mod.ts";
import { ztocForLayer } from "../../formats/soci/mod.ts";
import { FileSpanSource } from "../../layers/spans/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import {
  DEFAULT_SPAN_SIZE_BYTES,
  MAX_ZTOC_BYTES,
  ZtocError,
} from "../../formats/ztoc/mod.ts";
import { TreeCompileError } from "../../layers/tree/mod.ts";
import { Arrivals } from "./arrivals.ts";
import { LyingZtocError } from "../../layers/store/mod.ts";
import { FairSemaphore } from "./fair_semaphore.ts";
import { KeyedSemaphores } from "./keyed_semaphores.ts";
import { type Claimant, Claimants } from "./claimants.ts";
import {
  type ByManifestOptions,
  type DiscoveryOptions,
  IndexedImages,
} from "./images.ts";
import type { LayerStore, OpenLayer } from "../../layers/serving/mod.ts";
import { diskRoom, nameOf, RegistryBlobs } from "./source.ts";
import { fetchWholeLayer } from "./whole_layer.ts";

const log = logger("images");
/** Of images that are mounted without containerd. */
export const NO_NAMESPACE = "-";
/** Layers prepared side by side. */
const LAYERS_AT_ONCE = 6;
/** Layers remembered as not servable. */
const MAX_NOT_SERVABLE = 1000;
/**
 * Bytes of ztocs of one repository that are fetched, decoded and compiled side by side: memory takes
 * several times that. Of large ztocs, all repositories together may have half as much again.
 */
const ZTOC_BYTES_AT_ONCE = MAX_ZTOC_BYTES;
/** What a layer counts for at least, so that an image of thousands is not opened all at once. */
const LEAST_WEIGHT = ZTOC_BYTES_AT_ONCE / 16;
/** A ztoc of more bytes than this is large. */
const LARGE_ZTOC_BYTES = LEAST_WEIGHT;

/** Serves layers of images: fetches ztocs, falls back to whole layers. */
export class ImageService {
  /** Of each repository: one that gives nothing holds up no other. */
  readonly #opening = new KeyedSemaphores(ZTOC_BYTES_AT_ONCE);
  readonly #large = new FairSemaphore(ZTOC_BYTES_AT_ONCE);
  readonly #arrivals = new Arrivals();
  readonly #images: IndexedImages;
  /** What layers are read from. */
  readonly blobs: RegistryBlobs;
  /** Tells apart who images speak for. */
  readonly claimants: Claimants;

  /** Layers that containerd must unpack. Every layer of an image asks for all of them. */
  readonly #notServable = new Map<Digest, Error>();

  /** Nothing is asked yet. @param discovery which ways to find an index are allowed. */
  constructor(
    /** Asked for everything; stays the caller's. */
    readonly client: RegistryClient,
    /** Gets the layers; stays the caller's. */
    readonly store: LayerStore,
    discovery: DiscoveryOptions,
  ) {
    this.#images = new IndexedImages(client, discovery);
    this.blobs = new RegistryBlobs(client, `${store.root}/ingest`);
    this.claimants = new Claimants(client, store.root);
  }

  /** The image of a reference, with its index. @param platform default: this machine's. */
  resolve(reference: Reference, platform?: Platform): Promise<IndexedImage> {
    return this.#images.resolve(reference, platform);
  }

  /**
   * The image of one manifest digest, with its index. Cheap to ask for again, also where it failed.
   * @param options.failed default: `believe`.
   */
  byManifest(
    reference: Reference,
    manifestDigest: Digest,
    explicitIndex: Digest | null,
    options: ByManifestOptions = {},
  ): Promise<IndexedImage> {
    const image = this.#images.byManifest(
      reference,
      manifestDigest,
      explicitIndex,
      options,
    );
    this.store.expectLayers(); // while the first requests are on their way
    return image;
  }

  /**
   * Serves one layer to an image, as `#openLayer`, and waits until its directory is in place.
   * @param claimant who the image speaks for: see `LayerStore.claim`.
   */
  async openLayer(
    image: IndexedImage,
    layer: ImageLayer,
    claimant: Claimant,
    signal: AbortSignal,
  ): Promise<OpenLayer> {
    const opened = await this.#openLayer(image, layer, claimant, signal);
    try {
      await opened.shown;
      return opened;
    } catch (error) {
      opened.removeSource(claimant.id);
      this.store.release(opened.slot, { discard: false });
      throw error;
    }
  }

  /**
   * Serves one layer: lazily when the index covers it, else downloaded whole, checked and indexed
   * here. Undone by `store.release`.
   */
  async #openLayer(
    image: IndexedImage,
    layer: ImageLayer,
    claimant: Claimant,
    signal: AbortSignal,
  ): Promise<OpenLayer> {
    const ztoc = image.index === null
      ? null
      : ztocForLayer(image.index.index, layer.descriptor.digest);
    const from = nameOf(image.reference);
    if (ztoc !== null) {
      const open = () => this.#openLazily(image, layer, ztoc, claimant, signal);
      try {
        return await this.#opening.run(
          from,
          Math.max(ztoc.size, LEAST_WEIGHT),
          () =>
            ztoc.size > LARGE_ZTOC_BYTES
              ? this.#large.run(from, ztoc.size, open)
              : open(),
        );
      } catch (error) {
        // A bad ztoc must not keep the image from running; a dead registry must be told.
        if (
          !(error instanceof ZtocError || error instanceof TreeCompileError ||
            error instanceof ImageError || error instanceof LyingZtocError)
        ) {
          throw error;
        }
        log.error("ztoc cannot be used, the layer is downloaded whole", {
          image: image.reference.toString(),
          layer: layer.descriptor.digest,
          ztoc: ztoc.digest,
          error: error.message,
        });
      }
    }
    return await this.#opening.run(
      from,
      LEAST_WEIGHT,
      () => this.#openWhole(image, layer, claimant, signal),
    );
  }

  async #openLazily(
    image: IndexedImage,
    layer: ImageLayer,
    ztoc: Descriptor,
    claimant: Claimant,
    signal: AbortSignal,
  ): Promise<OpenLayer> {
    const { reference, roundTripMs } = image;
    const { descriptor: { digest, size }, diffId } = layer;
    const opened = await this.store.claim({
      identity: { layerDigest: digest, ztocDigest: ztoc.digest },
      diffId,
      claimant: claimant.id,
      makeSource: () => this.blobs.source(reference, digest, () => size),
      fetchZtoc: () =>
        this.#arrivals.fetch(
          {
            host: reference.host,
            repository: reference.repository,
            roundTripMs,
            bytes: ztoc.size,
          },
          () =>
            this.client.blobBytes(reference, ztoc, {
              maxBytes: MAX_ZTOC_BYTES,
              signal: AbortSignal.any([signal, this.#images.late()]),
            }),
        ),
      signal,
    });
    if (opened.compressedSize !== size) {
      opened.removeSource(claimant.id);
      this.store.release(opened.slot, { discard: true });
      throw new ImageError(
        reference.toString(),
        digest,
        `ztoc is for ${opened.compressedSize} bytes, the layer has ${size}`,
      );
    }
    return opened;
  }

  async #openWhole(
    image: IndexedImage,
    { descriptor: layer, diffId }: ImageLayer,
    claimant: Claimant,
    signal: AbortSignal,
  ): Promise<OpenLayer> {
    const known = this.#notServable.get(layer.digest);
    if (known !== undefined) throw known;
    const folder = `${this.store.root}/ingest`;
    await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
    const path = await Deno.makeTempFile({ dir: folder, prefix: "layer-" });
    try {
      const local = await fetchWholeLayer({
        client: this.client,
        repository: image.reference,
        image: image.reference.toString(),
        layer,
        diffId,
        path,
        spanSizeBytes: DEFAULT_SPAN_SIZE_BYTES,
        maxBytes: diskRoom(folder),
        signal,
      });
      const opened = this.store.addVerified(
        layer.digest,
        local.ztoc,
        new FileSpanSource(path),
        { diffId, claimant: claimant.id },
      );
      // The blob is open: its name may go, its bytes stay until the layer is closed.
      await Deno.remove(path);
      // Inflated in the background, so that the next start of the daemon needs no download: but not
      // a layer that grows without measure.
      const { count } = opened.spans;
      const tarBytes = count === 0 ? 0 : opened.spans.end(count - 1);
      if (tarBytes > diskRoom(folder)) return opened;
      opened.fill().catch((error) =>
        log.warn("layer could not be inflated whole", {
          layer: layer.digest,
          error: String(error),
        })
      );
      return opened;
    } catch (error) {
      await Deno.remove(path).catch(() => {}); // gone already when the store had it
      this.#remember(layer.digest, error);
      throw error;
    }
  }

  /** Keeps in mind that a layer's format stands in the way: no download would change that. */
  #remember(digest: Digest, error: unknown): void {
    if (!isOfFormat(error)) return;
    if (this.#notServable.size >= MAX_NOT_SERVABLE) this.#notServable.clear();
    this.#notServable.set(digest, error);
  }

  /**
   * Serves all layers of an image, bottom first. One that the image has several times is served once, for
   * its uppermost place: all that it shows it shows there.
   */
  async openAll(
    image: IndexedImage,
    signal: AbortSignal,
  ): Promise<OpenLayer[]> {
    const layers = uppermost(image.layers).filter(({ descriptor }) =>
      layerCompression(descriptor.mediaType) !== "none"
    );
    const claimant = await this.claimants.of(NO_NAMESPACE, image.reference);
    const opened: OpenLayer[] = new Array(layers.length);
    const next = layers.entries();
    const work = async () => {
      for (const [at, layer] of next) {
        opened[at] = await this.openLayer(image, layer, claimant, signal);
      }
    };
    const settled = await Promise.allSettled(
      Array.from({ length: LAYERS_AT_ONCE }, work),
    );
    const failed = settled.find((result) => result.status === "rejected");
    if (failed !== undefined) {
      for (const layer of opened) {
        if (layer !== undefined) {
          this.store.release(layer.slot, { discard: false });
        }
      }
      throw failed.reason;
    }
    return opened;
  }
}

/**
 * Whether it is the layer's form that stands in the way. Whoever made the ztoc, here or elsewhere, its
 * digest was right: other bytes would be another layer.
 */
function isOfFormat(error: unknown): error is Error {
  if (error instanceof TreeCompileError || error instanceof ZtocError) {
    return true;
  }
  if (error instanceof LyingZtocError) return true;
  return error instanceof ImageError && error.cause instanceof IndexingError &&
    error.cause.reason !== "damaged";
}

/** Each blob's uppermost layer, bottom first. */
function uppermost(layers: readonly ImageLayer[]): ImageLayer[] {
  const above = new Set<Digest>();
  return layers.toReversed().filter(({ descriptor: { digest } }) => {
    const covered = above.has(digest);
    above.add(digest);
    return !covered;
  }).reverse();
}
