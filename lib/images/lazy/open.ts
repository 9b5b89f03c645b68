import {
  type Descriptor,
  type Digest,
  isDigest,
  layerCompression,
  type Platform,
} from "../../formats/oci/mod.ts";
import {
  ImageError,
  type ImageLayer,
  type IndexedImage,
  ztocOf,
} from "../../remote/image/mod.ts";
import {
  parseReference,
  type Reference,
  type RegistryClient,
} from "../../remote/registry/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import { MAX_ZTOC_BYTES, ZtocError } from "../../formats/ztoc/mod.ts";
import { TreeCompileError } from "../../layers/tree/mod.ts";
import { LyingZtocError } from "../../layers/store/mod.ts";
import { FairSemaphore } from "./fair_semaphore.ts";
import { KeyedSemaphores } from "./keyed_semaphores.ts";
import { type Claimant, Claimants } from "./claimants.ts";
import {
  type ByManifestOptions,
  type DiscoveryOptions,
  IndexedImages,
} from "./images.ts";
import {
  keepBlob,
  keepsBlobs,
  nameOfKept,
  NO_NAMESPACE,
} from "./kept_blobs.ts";
import { LateZtocs } from "./late_ztocs.ts";
import type { LayerStore, OpenLayer } from "../../layers/serving/mod.ts";
import { checkpointsOf, MissingIndexes } from "./missing_indexes.ts";
import { NotServable } from "./not_servable.ts";
import { NO_REPLAY, type ReplayOptions, Replays } from "../replay/mod.ts";
import { isNamed } from "../policy/mod.ts";
import { LineSpeeds } from "./line_speeds.ts";
import { ImagePolicies } from "./policies.ts";
import { nameOf, RegistryBlobs } from "./source.ts";
import { type LocalLayer, WholeLayerTaker } from "./whole_layer.ts";
import { mayBeKnown } from "./whole_known.ts";
import { NONE_WHOLE, type WholeOptions } from "./whole_options.ts";
import { WholeProgress } from "./whole_progress.ts";
import { ZtocFetcher } from "./ztocs.ts";

const log = logger("images");
/** Layers of one image that are opened in parallel. */
const LAYERS_AT_ONCE = 6;
/**
 * Bytes of ztocs of one repository that are fetched, decoded and compiled in parallel. This takes several
 * times as much memory. The large ztocs of all repositories together may have half as much again.
 */
const ZTOC_BYTES_AT_ONCE = MAX_ZTOC_BYTES;
/** The least that a layer counts for, so that an image of thousands of layers is not opened all at once. */
const LEAST_WEIGHT = ZTOC_BYTES_AT_ONCE / 16;
/** A layer that was taken whole is synced after so long, ms. */
const SYNC_AFTER_MS = 5_000;
/** A ztoc of more bytes than this is large. */
const LARGE_ZTOC_BYTES = LEAST_WEIGHT;

/** Opens the layers of images: by ztoc, or downloaded whole where the index names none that can be used. */
export class ImageService implements Disposable {
  /** One for each repository, so that one that gives nothing holds up no other. */
  readonly #opening = new KeyedSemaphores(ZTOC_BYTES_AT_ONCE);
  readonly #large = new FairSemaphore(ZTOC_BYTES_AT_ONCE);
  /** Layers of all images that are opened by their ztocs at a time. */
  readonly #atOnce: FairSemaphore;
  readonly #images: IndexedImages;
  readonly #ztocs: ZtocFetcher;
  readonly #late = new LateZtocs();
  /** What layers are read from. */
  readonly blobs: RegistryBlobs;
  /** Brings what starts read first, before anybody asks for it. */
  readonly replays: Replays;
  /** Tells apart who images speak for. */
  readonly claimants: Claimants;

  readonly #notServable = new NotServable();
  readonly #whole: WholeLayerTaker;
  readonly #progress = new WholeProgress();
  readonly #missing: MissingIndexes | null;
  readonly #options: WholeOptions;
  /** How images are taken. */
  readonly policies: ImagePolicies;

  /**
   * Nothing is asked yet.
   * @param discovery which ways to find an index are allowed.
   * @param replay how load orders are used. Default: not at all.
   * @param whole which images are taken whole, and how. Default: none.
   */
  constructor(
    /** Asked for everything; stays the caller's. */
    readonly client: RegistryClient,
    /** Serves the layers; stays the caller's. */
    readonly store: LayerStore,
    discovery: DiscoveryOptions,
    replay: ReplayOptions = NO_REPLAY,
    whole: WholeOptions = NONE_WHOLE,
  ) {
    this.#options = whole;
    this.#images = new IndexedImages(client, discovery, whole.rule);
    this.#atOnce = new FairSemaphore(discovery.maxOpening ?? Infinity);
    const speeds = new LineSpeeds();
    this.policies = new ImagePolicies(
      whole.policies ?? null,
      (host) => speeds.bytesPerMs(host),
      whole.podPolicy,
    );
    this.#whole = new WholeLayerTaker({
      ...{ client, speeds },
      ...{ folder: `${store.root}/ingest`, kept: store.kept },
      limits: whole.limits,
      decompressors: whole.decompressors ?? {},
      progress: this.#progress,
      expect: (ztocBytes) => {
        try {
          store.expectZtoc(ztocBytes, null);
        } catch { /* told when it is opened */ }
      },
    });
    this.#ztocs = new ZtocFetcher(client);
    this.blobs = new RegistryBlobs(client, `${store.root}/ingest`);
    this.claimants = new Claimants(client, store.root);
    this.#missing = whole.indexMissing === "push"
      ? new MissingIndexes(client, this.claimants)
      : null;
    this.replays = new Replays(
      client,
      store,
      replay,
      (repository, pattern) => isNamed(repository, [pattern]),
    );
  }

  /** The image of a reference, with its index. @param platform default: this machine's. */
  resolve(reference: Reference, platform?: Platform): Promise<IndexedImage> {
    return this.#images.resolve(reference, platform);
  }

  /**
   * The image of one manifest digest, with its index. Asking again is cheap, also after a failure.
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
    this.store.expectLayers(); // while the first requests are under way
    return image;
  }

  /**
   * An image is about to be pulled: its registry is asked now. Whoever pulls is told what goes wrong.
   * @param imageRef as it is asked for. @param manifestDigest of the platform's manifest.
   */
  expect(imageRef: string, manifestDigest: string): void {
    if (!isDigest(manifestDigest)) return;
    Promise.try(() =>
      this.byManifest(parseReference(imageRef), manifestDigest, null)
    ).catch((error) =>
      log.debug("expected image cannot be read", {
        image: imageRef,
        error: String(error),
      })
    );
  }

  /**
   * Serves one layer to an image, as `#openLayer` does, and waits until its directory is in place.
   * @param claimant who the image speaks for: see `LayerStore.claim`.
   */
  async openLayer(
    image: IndexedImage,
    layer: ImageLayer,
    claimant: Claimant,
    signal: AbortSignal,
  ): Promise<OpenLayer> {
    const opened = await this.#openLayer(image, layer, claimant, signal)
      .catch((error) => {
        this.replays.lost(image, layer);
        throw error;
      });
    this.replays.opened(image, opened);
    this.#late.add(nameOf(image.reference), opened, this.replays.over(image));
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
   * Serves one layer: lazily when the index covers it, else it is downloaded whole, checked and indexed
   * here. Undone by `store.release`.
   */
  async #openLayer(
    image: IndexedImage,
    layer: ImageLayer,
    claimant: Claimant,
    signal: AbortSignal,
  ): Promise<OpenLayer> {
    const ztoc = ztocOf(image, layer.descriptor.digest);
    const from = nameOf(image.reference);
    if (ztoc !== null) {
      const open = () => this.#openLazily(image, layer, ztoc, claimant, signal);
      try {
        return await this.#atOnce.run(from, 1, () =>
          this.#opening.run(
            from,
            Math.max(ztoc.size, LEAST_WEIGHT),
            () =>
              ztoc.size > LARGE_ZTOC_BYTES
                ? this.#large.run(from, ztoc.size, open)
                : open(),
          ));
      } catch (error) {
        // A bad ztoc must not keep the image from running. Other errors, such as a dead registry, are the caller's.
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
    return await this.#openWhole(image, layer, claimant, signal);
  }

  async #openLazily(
    image: IndexedImage,
    layer: ImageLayer,
    ztoc: Descriptor,
    claimant: Claimant,
    signal: AbortSignal,
  ): Promise<OpenLayer> {
    const { reference } = image;
    const { descriptor: { digest, size }, diffId } = layer;
    const opened = await this.store.claim({
      identity: { layerDigest: digest, ztocDigest: ztoc.digest },
      diffId,
      pack: this.replays.packOf(image, layer),
      claimant: claimant.id,
      makeSource: () => this.blobs.source(reference, digest, () => size),
      fetchZtoc: async () => {
        const packed = (await image.compressedZtocs).get(ztoc.digest);
        this.store.expectZtoc(ztoc.size, packed?.head?.size ?? null);
        const wanted = { image, ztoc };
        const until = AbortSignal.any([signal, this.#images.late()]);
        const head = this.replays.mayMountAhead(image, layer)
          ? await this.#ztocs.head(wanted, until)
          : null;
        if (head !== null) return head;
        const bytes = await this.#ztocs.fetch(wanted, until);
        return { bytes, whole: null };
      },
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
    imageLayer: ImageLayer,
    claimant: Claimant,
    signal: AbortSignal,
  ): Promise<OpenLayer> {
    const { descriptor: layer, diffId } = imageLayer;
    const known = this.#notServable.of(image.reference, imageLayer);
    if (known !== null) throw known;
    const wanted = { layerDigest: layer.digest, diffId, claimant: claimant.id };
    const makeSource = () =>
      this.blobs.source(image.reference, layer.digest, () => layer.size);
    const found = await this.store.whole.find(wanted, makeSource);
    if (found !== null) return found;
    const emptied = this.#mayComeInParts(image)
      ? await this.store.whole.findEmptied(wanted, makeSource, layer.size)
      : null;
    if (emptied !== null) return emptied;
    let local: LocalLayer | undefined;
    let opened: OpenLayer | undefined;
    try {
      using _waits = this.store.whole.begin();
      local = await this.#whole.take({
        ...{ reference: image.reference, layer, diffId, signal },
        isKept: keepsBlobs(this.#options, claimant),
        keptAs: nameOfKept(wanted),
        ...checkpointsOf(layer, this.#options.indexMissing ?? "keep"),
        known: this.#options.checkpoints?.(image.reference)
          ? mayBeKnown(
            { images: this.#images, client: this.client },
            ...[image, layer, signal] as const,
          )
          : null,
        requester: {
          image: `${claimant.id} ${image.descriptor.digest}`,
          host: image.reference.host,
        },
      });
      opened = await this.store.whole.add(
        wanted,
        local.ztoc,
        makeSource(),
        local.data,
      );
      // Nothing is missing: it is synced. No part of a tar can be had again; others can wait until the container,
      // which needs the disk, has started.
      if (local.isOfTar) await opened.fill();
      else Deno.unrefTimer(setTimeout(syncLater, SYNC_AFTER_MS, opened));
      const of = { from: image.reference, blob: layer, claimant };
      keepBlob(this.#options, of, local);
      return opened;
    } catch (error) {
      local?.[Symbol.dispose]();
      if (opened !== undefined) {
        opened.removeSource(claimant.id);
        this.store.release(opened.slot, { discard: true });
      }
      this.#notServable.add(image.reference, imageLayer, error);
      throw error;
    }
  }

  /** Whether a layer that was here may come again by what was kept of it: an image that lacks an index has that one. */
  #mayComeInParts(image: IndexedImage): boolean {
    const { indexMissing, rule, keep } = this.#options;
    return image.index === null && indexMissing !== "off" &&
      keep === undefined && !this.policies.isWhole(image) &&
      rule(image.reference) !== "always";
  }

  /** Whether an image's layers are taken whole: it has no index that is used. @param image as its policy has it. */
  takesWhole(image: IndexedImage): boolean {
    if (image.index !== null) return false;
    return this.policies.isWhole(image) ||
      this.#options.rule(image.reference) !== "never";
  }

  /** An image is shown, all of it: one that was taken whole may give its registry an index. */
  shown(
    image: IndexedImage,
    claimant: Claimant,
    layers: readonly OpenLayer[],
  ): void {
    if (image.index === null) this.#missing?.add(image, claimant, layers);
  }

  /** What of layers that are taken whole has come so far. */
  get progress(): WholeProgress {
    return this.#progress;
  }

  /** Stops the Workers of layers that are taken whole, and pushes no index any more. */
  [Symbol.dispose](): void {
    this.#missing?.[Symbol.dispose]();
    this.#whole[Symbol.dispose]();
  }

  /**
   * Serves all layers of an image, bottom first. A layer that the image has several times is served once,
   * at its uppermost place: there it shows all its files.
   */
  async openAll(
    image: IndexedImage,
    signal: AbortSignal,
  ): Promise<OpenLayer[]> {
    const layers = uppermost(image.layers).filter(({ descriptor }) =>
      layerCompression(descriptor.mediaType) !== "none"
    );
    const claimant = await this.claimants.of(NO_NAMESPACE, image.reference);
    this.replays.begin(image, {});
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

async function syncLater(layer: OpenLayer): Promise<void> {
  try {
    await layer.fill();
  } catch (error) {
    log.warn("layer is not on disk, and fetched again after a crash", {
      layer: layer.layerDigest,
      error: String(error),
    });
  }
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
