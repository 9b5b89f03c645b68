import { IndexingError } from "../../layers/builder/mod.ts";
import {
  type Descriptor,
  type Digest,
  isDigest,
  layerCompression,
  type Platform,
} from "../../formats/oci/mod.ts";
import { fileSystemUse } from "../../host/mounting/mod.ts";
import {
  fetchImage,
  ImageError,
  type ResolvedImage,
  resolveImage,
} from "../../remote/image/mod.ts";
import type {
  Reference,
  RegistryClient,
  Repository,
} from "../../remote/registry/mod.ts";
import { discoverIndex } from "../../remote/image/mod.ts";
import { type SociIndex, ztocForLayer } from "../../formats/soci/mod.ts";
import { FileSpanSource, type SpanSource } from "../../layers/spans/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import { ZtocError } from "../../formats/ztoc/mod.ts";
import { TreeCompileError } from "../../layers/tree/mod.ts";
import { Arrivals } from "./arrivals.ts";
import { LyingZtocError } from "../../layers/store/mod.ts";
import { WeightGate } from "./gate.ts";
import type { LayerStore, OpenLayer } from "../../layers/serving/mod.ts";
import { fetchWholeLayer } from "./whole_layer.ts";

const log = logger("images");
const MAX_ZTOC_BYTES = 256 * 2 ** 20;
const MAX_CONFIG_BYTES = 8 * 2 ** 20;
const SPAN_SIZE_BYTES = 4 * 2 ** 20;
/** Layers prepared side by side. */
const LAYERS_AT_ONCE = 6;
/** Layers remembered as not servable. */
const MAX_NOT_SERVABLE = 1000;
/** Bytes of ztocs that are fetched, decoded and compiled side by side: memory takes several times that. */
const ZTOC_BYTES_AT_ONCE = MAX_ZTOC_BYTES;
/** What a layer counts for at least, so that an image of thousands is not opened all at once. */
const LEAST_WEIGHT = ZTOC_BYTES_AT_ONCE / 16;
/** This part of the disk stays free of layers that are downloaded whole. */
const DISK_RESERVE = 0.05;
/** Images whose manifest and index are remembered, the oldest go first. */
const MAX_REMEMBERED = 256;
/** How long "this image has no index" is believed. */
const NO_INDEX_TTL_MS = 60_000;

/** An image with what its index says, if it has one. */
export interface IndexedImage extends ResolvedImage {
  readonly index: SociIndex | null;
  /** Uncompressed digests of the layers, in order. */
  readonly diffIds: readonly Digest[];
  /** How long the registry took to give something small, ms. */
  readonly roundTripMs: number;
}

/** Which ways to find an index are allowed. */
export interface DiscoveryOptions {
  readonly v1: boolean;
  readonly v2: boolean;
  /**
   * How long an image's manifest, index and configuration, and then a ztoc, may take to come, ms, however
   * slowly a registry gives. Default 30 000.
   */
  readonly timeoutMs?: number;
}

/** Serves layers of images: finds indexes, fetches ztocs, falls back to whole layers. */
export class ImageService {
  readonly #gate = new WeightGate(ZTOC_BYTES_AT_ONCE);
  readonly #arrivals = new Arrivals();
  readonly #images = new Map<
    string,
    { image: Promise<IndexedImage>; expiresAtMs: number }
  >();

  /** Layers that containerd must unpack. Every layer of an image asks for all of them. */
  readonly #notServable = new Map<Digest, ImageError>();

  constructor(
    readonly client: RegistryClient,
    readonly store: LayerStore,
    readonly discovery: DiscoveryOptions,
  ) {}

  /** The image of a reference for one platform, with its index. */
  async resolve(
    reference: Reference,
    platform: Platform,
  ): Promise<IndexedImage> {
    const image = await resolveImage(this.client, reference, platform);
    return await this.#withIndex(
      reference,
      image.descriptor.digest,
      Promise.resolve(image),
      null,
      this.#late(),
    );
  }

  /**
   * The image of one manifest digest, with its index. Asked for by every layer of the image, so
   * the answer is kept; a failure is not, and "no index" only for a minute.
   */
  byManifest(
    reference: Reference,
    manifestDigest: Digest,
    explicitIndex: Digest | null,
  ): Promise<IndexedImage> {
    const key = `${reference.host}/${reference.repository}@${manifestDigest}@${
      explicitIndex ?? ""
    }`;
    const known = this.#images.get(key);
    if (known !== undefined && known.expiresAtMs > Date.now()) {
      return known.image;
    }
    const late = this.#late();
    const fetched = fetchImage(this.client, reference, {
      mediaType: "",
      digest: manifestDigest,
      size: 0,
    }, late);
    const image = this.#withIndex(
      reference,
      manifestDigest,
      fetched,
      explicitIndex,
      late,
    );
    this.store.expectLayers(); // while the first requests are on their way
    const record = { image, expiresAtMs: Infinity };
    this.#images.delete(key); // so that it is the newest
    this.#images.set(key, record);
    const oldest = this.#images.keys().next();
    if (this.#images.size > MAX_REMEMBERED && !oldest.done) {
      this.#images.delete(oldest.value);
    }
    image.then(
      ({ index }) => {
        if (index === null) record.expiresAtMs = Date.now() + NO_INDEX_TTL_MS;
      },
      () => {
        if (this.#images.get(key) === record) this.#images.delete(key);
      },
    );
    return image;
  }

  #late(): AbortSignal {
    return AbortSignal.timeout(this.discovery.timeoutMs ?? 30_000);
  }

  /** Manifest, referrers and configuration are asked for side by side, as far as they are known. */
  async #withIndex(
    reference: Reference,
    manifestDigest: Digest,
    fetched: Promise<ResolvedImage>,
    explicitIndex: Digest | null,
    signal: AbortSignal,
  ): Promise<IndexedImage> {
    const [found, { diffIds, roundTripMs }, image] = await Promise.all([
      discoverIndex(
        this.client,
        reference,
        { digest: manifestDigest, bytes: fetched.then(({ bytes }) => bytes) },
        {
          v1: this.discovery.v1,
          v2: this.discovery.v2,
          explicitDigest: explicitIndex,
          signal,
        },
      ),
      fetched.then((image) => this.#configuration(image, signal)),
      fetched,
    ]);
    log.debug("image resolved", {
      image: reference.toString(),
      manifest: manifestDigest,
      index: found?.digest ?? null,
      found: found?.via ?? null,
    });
    return { ...image, index: found?.index ?? null, diffIds, roundTripMs };
  }

  async #configuration(
    { reference, manifest }: ResolvedImage,
    signal: AbortSignal,
  ): Promise<Pick<IndexedImage, "diffIds" | "roundTripMs">> {
    const asked = performance.now();
    const bytes = await this.client.blobBytes(reference, manifest.config, {
      maxBytes: MAX_CONFIG_BYTES,
      signal,
    });
    const roundTripMs = performance.now() - asked;
    const fail = (why: string) =>
      new ImageError(reference.toString(), null, `configuration ${why}`);
    let config: { rootfs?: { diff_ids?: unknown } };
    try {
      config = JSON.parse(new TextDecoder().decode(bytes));
    } catch (cause) {
      throw fail(`is no JSON: ${String(cause)}`);
    }
    const ids = config?.rootfs?.diff_ids;
    if (!Array.isArray(ids) || !ids.every(isDigest)) {
      throw fail("lists no diff IDs");
    }
    if (ids.length !== manifest.layers.length) {
      throw fail(
        `lists ${ids.length} diff IDs for ${manifest.layers.length} layers`,
      );
    }
    return { diffIds: ids, roundTripMs };
  }

  /** Serves one layer, as `#openLayer`, and waits until its directory is in place. */
  async openLayer(
    image: IndexedImage,
    layer: Descriptor,
    signal: AbortSignal,
  ): Promise<OpenLayer> {
    const opened = await this.#openLayer(image, layer, signal);
    try {
      await opened.shown;
      return opened;
    } catch (error) {
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
    layer: Descriptor,
    signal: AbortSignal,
  ): Promise<OpenLayer> {
    const ztoc = image.index === null
      ? null
      : ztocForLayer(image.index, layer.digest);
    if (ztoc !== null) {
      try {
        return await this.#gate.run(
          Math.max(ztoc.size, LEAST_WEIGHT),
          () => this.#openLazily(image, layer, ztoc, signal),
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
          layer: layer.digest,
          ztoc: ztoc.digest,
          error: error.message,
        });
      }
    }
    return await this.#gate.run(
      LEAST_WEIGHT,
      () => this.#openWhole(image, layer, signal),
    );
  }

  async #openLazily(
    image: IndexedImage,
    layer: Descriptor,
    ztoc: Descriptor,
    signal: AbortSignal,
  ): Promise<OpenLayer> {
    const { reference, roundTripMs } = image;
    const bytes = await this.#arrivals.fetch(
      { host: reference.host, roundTripMs, bytes: ztoc.size },
      () =>
        this.client.blobBytes(reference, ztoc, {
          maxBytes: MAX_ZTOC_BYTES,
          signal: AbortSignal.any([signal, this.#late()]),
        }),
    );
    const opened = this.store.add(
      layer.digest,
      bytes,
      new RegistrySpanSource(this.client, image.reference, layer.digest),
      diffIdOf(image, layer),
    );
    if (opened.compressedSize !== layer.size) {
      this.store.release(opened.slot, { discard: true });
      throw new ImageError(
        image.reference.toString(),
        layer.digest,
        `ztoc is for ${opened.compressedSize} bytes, the layer has ${layer.size}`,
      );
    }
    return opened;
  }

  async #openWhole(
    image: IndexedImage,
    layer: Descriptor,
    signal: AbortSignal,
  ): Promise<OpenLayer> {
    const diffId = diffIdOf(image, layer);
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
        spanSizeBytes: SPAN_SIZE_BYTES,
        maxBytes: diskRoom(folder),
        signal,
      });
      const opened = this.store.add(
        layer.digest,
        local.ztoc,
        new FileSpanSource(path),
        null, // checked while it was downloaded
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
    if (!(error instanceof ImageError)) return;
    const { cause } = error;
    if (!(cause instanceof IndexingError) || cause.reason === "damaged") return;
    if (this.#notServable.size >= MAX_NOT_SERVABLE) this.#notServable.clear();
    this.#notServable.set(digest, error);
  }

  /** Serves all layers of an image, bottom first. */
  async openAll(
    image: IndexedImage,
    signal: AbortSignal,
  ): Promise<OpenLayer[]> {
    const layers = image.manifest.layers.filter(({ mediaType }) =>
      layerCompression(mediaType) !== "none"
    );
    const opened: OpenLayer[] = new Array(layers.length);
    const next = layers.entries();
    const work = async () => {
      for (const [at, layer] of next) {
        opened[at] = await this.openLayer(image, layer, signal);
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

/** Bytes that may still come onto the disk of a folder. @throws OsError */
function diskRoom(folder: string): number {
  const { blocks, blocksAvailable, blockSizeBytes } = fileSystemUse(folder);
  return Math.max(0, blocksAvailable - blocks * DISK_RESERVE) * blockSizeBytes;
}

/** What the image's configuration says the layer's tar is. @throws ImageError */
function diffIdOf(image: IndexedImage, layer: Descriptor): Digest {
  const at = image.manifest.layers.findIndex(({ digest }) =>
    digest === layer.digest
  );
  const diffId = image.diffIds[at];
  if (diffId === undefined) {
    throw new ImageError(
      image.reference.toString(),
      layer.digest,
      "is no layer of the image",
    );
  }
  return diffId;
}

/** A layer blob in a registry. */
export class RegistrySpanSource implements SpanSource {
  readonly host: string;

  constructor(
    readonly client: RegistryClient,
    readonly repository: Repository,
    readonly digest: Digest,
  ) {
    this.host = repository.host;
  }

  fetch(
    start: number,
    end: number,
    into: Uint8Array<ArrayBuffer>,
    signal: AbortSignal,
    onProgress?: (filled: number) => void,
  ): Promise<void> {
    return this.client.range(
      this.repository,
      this.digest,
      start,
      end,
      into,
      signal,
      onProgress,
    );
  }
}
