import type { Digest, Platform } from "../../formats/oci/mod.ts";
import {
  type DiscoverOptions,
  type IndexedImage,
  readIndexedImage,
  resolveIndexedImage,
} from "../../remote/image/mod.ts";
import type {
  Reference,
  RegistryClient,
  Repository,
} from "../../remote/registry/mod.ts";
import type { WholeRule } from "./whole_options.ts";
import { withoutIndex, withoutSmallLayers } from "./policies.ts";
import { isNamed, type Trust } from "../policy/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import { Failures, WHILE_PULLING } from "./failures.ts";

const log = logger("images");
/** How many images are remembered; the oldest are forgotten first. */
const MAX_REMEMBERED = 256;
/** Indexes of images that are taken whole: so many of them. */
const MAX_BESIDE = 16;
/** How long "this image has no index" is believed. */
const NO_INDEX_TTL_MS = 60_000;
/** Default of {@link DiscoveryOptions.timeoutMs}. */
const DEFAULT_TIMEOUT_MS = 30_000;

/** Which ways to find an index are allowed. */
export interface DiscoveryOptions {
  /** Through referrers, which anyone who may push can add. */
  readonly v1: boolean;
  /** Through the image manifest's annotation, which the image's digest covers. */
  readonly v2: boolean;
  /** Which repositories may use each way. Default: all. */
  readonly trust?: Trust;
  /**
   * How long an image's manifest, index and configuration together may take, and then each ztoc, ms.
   * Default 30 000.
   */
  readonly timeoutMs?: number;
  /** Layers of all images that are opened at a time. Default: any number. */
  readonly maxOpening?: number;
  /** Layers whose blob is smaller are downloaded whole although they have ztocs, bytes. Default 0: none. */
  readonly minLayerBytes?: number;
}

/** How an image is asked for. */
export interface ByManifestOptions {
  /** What to do when it failed a short time ago for another layer: believe that, or ask the registry again. */
  readonly failed?: "believe" | "ask again";
}

interface Remembered {
  readonly image: Promise<IndexedImage>;
  expiresAtMs: number;
}

/**
 * Images with their indexes, as registries have them. Every layer of an image asks for its image, so
 * answers are remembered: "no index" for a minute only, and a failure while the image is being pulled.
 */
export class IndexedImages {
  readonly #remembered = new Map<string, Remembered>();
  readonly #failures = new Failures(WHILE_PULLING);
  /** Indexes of images that are taken whole, which only speed that up. */
  readonly #beside = new Map<string, Promise<IndexedImage | null>>();

  /** Nothing is asked yet; the client stays the caller's. */
  constructor(
    /** Asked for images. */
    readonly client: RegistryClient,
    /** Which ways to an index are allowed, and how long each may take. */
    readonly discovery: DiscoveryOptions,
    /** Which images are taken whole. Default: none. */
    readonly whole: (repository: Repository) => WholeRule = () => "never",
  ) {}

  /** The image that a reference names now. Asks the registry each time. @param platform default: this machine's. */
  async resolve(
    reference: Reference,
    platform?: Platform,
  ): Promise<IndexedImage> {
    return told(
      await resolveIndexedImage(
        this.client,
        reference,
        platform,
        this.#options(reference, null),
      ),
    );
  }

  /** The image of one manifest digest. @param options.failed default: `believe`. */
  byManifest(
    reference: Reference,
    manifestDigest: Digest,
    explicitIndex: Digest | null,
    options: ByManifestOptions = {},
  ): Promise<IndexedImage> {
    const key = `${reference.host}/${reference.repository}@${manifestDigest}@${
      explicitIndex ?? ""
    }`;
    const known = this.#remembered.get(key);
    if (known !== undefined && known.expiresAtMs > Date.now()) {
      return known.image;
    }
    const failure = this.#failures.of(key);
    if (failure !== null && options.failed !== "ask again") {
      return Promise.reject(failure.error);
    }
    const image = this.#read(reference, manifestDigest, explicitIndex).then((
      image,
    ) =>
      told(
        withoutSmallLayers(
          this.#allowed(image),
          this.discovery.minLayerBytes ?? 0,
        ),
      )
    );
    this.#remember(key, { image, expiresAtMs: Infinity });
    return image;
  }

  /** An image that is taken whole, with its index; null where none can be used. Asking again is cheap. */
  withIndex({ reference, descriptor }: IndexedImage): Promise<
    IndexedImage | null
  > {
    const { host, repository } = reference;
    const key = `${host}/${repository}@${descriptor.digest}`;
    for (const [oldest] of this.#beside) {
      if (this.#beside.size < MAX_BESIDE) break;
      this.#beside.delete(oldest);
    }
    return this.#beside.getOrInsertComputed(key, () =>
      readIndexedImage(
        this.client,
        reference,
        descriptor.digest,
        this.#allowedFor(reference, null),
      ).catch((error) => {
        log.debug("index of an image that is taken whole cannot be read", {
          image: reference.toString(),
          error: String(error),
        });
        return null;
      }).then((image) => {
        if (image !== null && image.index !== null) return image;
        this.#beside.delete(key); // there may be one the next time
        return null;
      }));
  }

  async #read(
    reference: Reference,
    manifest: Digest,
    explicitIndex: Digest | null,
  ): Promise<IndexedImage> {
    const { client } = this;
    const options = this.#options(reference, explicitIndex);
    try {
      return await readIndexedImage(client, reference, manifest, options);
    } catch (error) {
      if (this.whole(reference) !== "without index") throw error;
      const without = { v1: false, v2: false, explicitDigest: null };
      const image = await readIndexedImage(client, reference, manifest, {
        ...options,
        ...without,
        signal: this.late(),
      }).catch(() => {
        throw error; // it was not the index
      });
      log.warn("index cannot be used, the image is taken whole", {
        image: reference.toString(),
        error: String(error),
      });
      return image;
    }
  }

  #remember(key: string, record: Remembered): void {
    this.#remembered.delete(key); // so that it becomes the newest
    this.#remembered.set(key, record);
    const oldest = this.#remembered.keys().next();
    if (this.#remembered.size > MAX_REMEMBERED && !oldest.done) {
      this.#remembered.delete(oldest.value);
    }
    record.image.then(
      ({ index }) => {
        this.#failures.forget(key);
        if (index === null) record.expiresAtMs = Date.now() + NO_INDEX_TTL_MS;
      },
      (error) => {
        this.#failures.add(key, error);
        if (this.#remembered.get(key) === record) this.#remembered.delete(key);
      },
    );
  }

  /**
   * An index that a label names may be the image's own word: containerd copies annotations of its layers into
   * labels. So it is bound by the same rules.
   */
  #allowed(image: IndexedImage): IndexedImage {
    const { reference, index } = image;
    if (index?.via !== "explicit") return image;
    const { v1, v2, trust } = this.discovery;
    const mode = index.version === 2 ? v2 : v1 || v2;
    const patterns = index.version === 2 ? trust?.v2 : trust?.v1;
    if (mode && (patterns === undefined || isNamed(reference, patterns))) {
      return image;
    }
    log.warn("an index is named, and indexes of this repository are not used", {
      image: reference.toString(),
      index: index.digest,
      version: index.version,
    });
    return withoutIndex(image);
  }

  /** Fires when a slow registry is given up. */
  late(): AbortSignal {
    return AbortSignal.timeout(this.discovery.timeoutMs ?? DEFAULT_TIMEOUT_MS);
  }

  #options(
    reference: Reference,
    explicitDigest: Digest | null,
  ): DiscoverOptions {
    if (this.whole(reference) === "always") {
      const signal = this.late();
      return { v1: false, v2: false, explicitDigest: null, signal };
    }
    return this.#allowedFor(reference, explicitDigest);
  }

  /** The ways to an index that a repository may use. */
  #allowedFor(
    reference: Reference,
    explicitDigest: Digest | null,
  ): DiscoverOptions {
    const { v1, v2, trust } = this.discovery;
    return {
      v1: v1 && (trust === undefined || isNamed(reference, trust.v1)),
      v2: v2 && (trust === undefined || isNamed(reference, trust.v2)),
      explicitDigest,
      withCompanion: true,
      signal: this.late(),
    };
  }
}

function told(image: IndexedImage): IndexedImage {
  log.debug("image resolved", {
    image: image.reference.toString(),
    manifest: image.descriptor.digest,
    index: image.index?.digest ?? null,
    found: image.index?.via ?? null,
  });
  return image;
}
