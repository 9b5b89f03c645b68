import {
  IndexerPool,
  largestFirst,
  ZSTD_HEAD_BYTES,
  ZSTD_TAIL_BYTES,
  zstdFacts,
  zstdReason,
} from "../builder/mod.ts";
import {
  type Descriptor,
  type Digest,
  layerCompression,
  type Platform,
  sha256,
} from "../oci/mod.ts";
import type { Reference, RegistryClient } from "../registry/mod.ts";
import {
  convertV2,
  discoverIndex,
  EMPTY_CONFIG,
  encodeIndex,
  makeIndex,
  type SociIndex,
  spanSizeOf,
  ztocDescriptor,
  ztocForLayer,
} from "../soci/mod.ts";
import { BUILD_TOOL } from "../ztoc/mod.ts";
import { logger } from "../telemetry/mod.ts";
import { ImageError } from "./errors.ts";
import { fetchImage, type ImageFamily, type ResolvedImage } from "./image.ts";

const log = logger("images");

/** How an index is built. */
export interface BuildOptions {
  readonly client: RegistryClient;
  /** Least uncompressed bytes of a span. */
  readonly spanSizeBytes: number;
  /** Smaller layers get no ztoc, bytes of the blob. */
  readonly minLayerSizeBytes: number;
  /** Do not use ztocs of an index that is already beside the image. */
  readonly force: boolean;
  /** Layers indexed side by side. */
  readonly concurrency: number;
  readonly signal: AbortSignal;
  readonly onLayerStart?: (layer: Descriptor) => void;
  readonly onProgress?: (layer: Descriptor, bytes: number) => void;
  readonly onLayer?: (layer: BuiltLayer) => void;
}

/** What became of one layer. */
export interface BuiltLayer {
  readonly layer: Descriptor;
  readonly outcome:
    | {
      readonly kind: "built" | "reused";
      readonly ztoc: Digest;
      readonly ztocSize: number;
    }
    | { readonly kind: "too-small" }
    | { readonly kind: "unsupported"; readonly reason: string }
    | { readonly kind: "failed"; readonly reason: string };
}

/** An index that is not pushed yet; its ztocs are. */
export interface BuiltIndex {
  readonly image: ResolvedImage;
  readonly layers: readonly BuiltLayer[];
  /** null when no layer got a ztoc. */
  readonly ztocs: readonly Descriptor[];
}

/**
 * Indexes the layers of one image straight from its registry and pushes their ztocs.
 * A layer that cannot be indexed is left out and told; a registry that fails ends the build.
 */
export async function buildZtocs(
  image: ResolvedImage,
  options: BuildOptions,
): Promise<BuiltIndex> {
  const { client, signal } = options;
  const { manifest, reference } = image;
  const known = options.force ? null : await knownIndex(image, options);
  const results: (BuiltLayer & { descriptor?: Descriptor })[] = new Array(
    manifest.layers.length,
  );
  const next = largestFirst(manifest.layers).values();
  using pool = new IndexerPool(options.concurrency);
  const stop = new AbortController();
  const both = AbortSignal.any([signal, stop.signal]);
  const work = async () => {
    for (const [at, layer] of next) {
      results[at] = await buildLayer(image, layer, known, pool, {
        ...options,
        signal: both,
      });
      options.onLayer?.(results[at]);
    }
  };
  try {
    await Promise.all(
      Array.from(
        { length: Math.min(options.concurrency, manifest.layers.length) },
        work,
      ),
    );
  } catch (error) {
    stop.abort(error);
    throw error;
  }
  const ztocs = results.flatMap(({ descriptor }) => descriptor ?? []);
  if (ztocs.length > 0) {
    await client.pushBlob(
      reference,
      { digest: sha256(EMPTY_CONFIG), size: EMPTY_CONFIG.length },
      EMPTY_CONFIG,
      { signal },
    );
  }
  return {
    image,
    layers: results.map(({ layer, outcome }) => ({ layer, outcome })),
    ztocs,
  };
}

async function knownIndex(
  image: ResolvedImage,
  { client, signal }: BuildOptions,
): Promise<SociIndex | null> {
  try {
    const found = await discoverIndex(
      client,
      image.reference,
      { digest: image.descriptor.digest, bytes: image.bytes },
      { v1: true, v2: true, signal },
    );
    return found?.index ?? null;
  } catch {
    return null; // a broken index is built anew
  }
}

async function buildLayer(
  image: ResolvedImage,
  layer: Descriptor,
  known: SociIndex | null,
  pool: IndexerPool,
  options: BuildOptions,
): Promise<BuiltLayer & { descriptor?: Descriptor }> {
  const { client, signal, spanSizeBytes } = options;
  const { reference } = image;
  const compression = layerCompression(layer.mediaType);
  if (compression !== "gzip" && compression !== "uncompressed") {
    const reason = compression === "zstd"
      ? await describeZstd(image, layer, options)
      : "unsupported format";
    return { layer, outcome: { kind: "unsupported", reason } };
  }
  if (layer.size < options.minLayerSizeBytes) {
    return { layer, outcome: { kind: "too-small" } };
  }
  const old = known === null ? null : ztocForLayer(known, layer.digest);
  if (old !== null && spanSizeOf(old) === spanSizeBytes) {
    return {
      layer,
      outcome: { kind: "reused", ztoc: old.digest, ztocSize: old.size },
      descriptor: old,
    };
  }
  options.onLayerStart?.(layer);
  const stream = await client.blob(reference, layer, { signal });
  let built;
  try {
    built = await pool.index(stream, {
      compression,
      spanSizeBytes,
      buildTool: BUILD_TOOL,
      diffId: "skip",
      signal,
      onProgress: (bytes) => options.onProgress?.(layer, bytes),
    });
  } catch (error) {
    if (!(error instanceof Error && error.name === "IndexingError")) {
      throw error;
    }
    return { layer, outcome: { kind: "failed", reason: error.message } };
  }
  if (built.digest !== layer.digest) {
    throw new ImageError(
      reference.toString(),
      layer.digest,
      `the registry served ${built.digest}`,
    );
  }
  const descriptor = ztocDescriptor({
    digest: sha256(built.ztoc),
    size: built.ztoc.length,
    layer,
    spanSizeBytes,
  });
  await client.pushBlob(reference, descriptor, built.ztoc, { signal });
  return {
    layer,
    outcome: {
      kind: "built",
      ztoc: descriptor.digest,
      ztocSize: descriptor.size,
    },
    descriptor,
  };
}

/** Looks at both ends of a zstd layer; what they tell is not worth a failure. */
async function describeZstd(
  { reference }: ResolvedImage,
  { digest, size, annotations = {} }: Descriptor,
  { client, spanSizeBytes, signal }: BuildOptions,
): Promise<string> {
  const piece = async (start: number, end: number) => {
    const bytes = new Uint8Array(end - start);
    await client.range(reference, digest, start, end, bytes, signal);
    return bytes;
  };
  let facts = zstdFacts(new Uint8Array(0), new Uint8Array(0));
  if (size >= ZSTD_HEAD_BYTES) {
    try {
      facts = zstdFacts(
        await piece(0, ZSTD_HEAD_BYTES),
        await piece(size - ZSTD_TAIL_BYTES, size),
        annotations,
      );
    } catch (error) {
      signal.throwIfAborted();
      log.debug("zstd layer could not be looked at", {
        layer: digest,
        error: String(error),
      });
    }
  }
  return zstdReason(facts, annotations, spanSizeBytes);
}

/** Pushes a v1 index beside its image. @returns its descriptor. */
export async function pushIndexV1(
  client: RegistryClient,
  { image, ztocs }: BuiltIndex,
): Promise<Descriptor> {
  const bytes = encodeIndex(
    makeIndex({ layers: ztocs, subject: image.descriptor }),
  );
  const { descriptor } = await client.pushReferrer(
    image.reference,
    bytes,
    "application/vnd.oci.image.manifest.v1+json",
    image.descriptor,
  );
  return descriptor;
}

/** A converted image that was pushed. */
export interface PushedConversion {
  /** The new image index, under its tag. */
  readonly image: Descriptor;
  /** Digests of the SOCI indexes it binds. */
  readonly indexes: readonly Digest[];
}

/**
 * Pushes a converted image (v2): the same layers under a new tag, with the SOCI indexes bound to it.
 * The source stays as it is.
 */
export async function pushConversion(
  client: RegistryClient,
  reference: Reference,
  family: ImageFamily,
  built: readonly BuiltIndex[],
  tag: string,
): Promise<PushedConversion> {
  const sociIndexes = new Map<Digest, Uint8Array>();
  for (const { image, ztocs } of built) {
    if (ztocs.length === 0) continue;
    sociIndexes.set(
      image.descriptor.digest,
      encodeIndex(makeIndex({ layers: ztocs })),
    );
  }
  const manifests = new Map<Digest, Uint8Array>(
    built.map(({ image }) => [image.descriptor.digest, image.bytes]),
  );
  for (const { digest, mediaType, size, platform } of family.images) {
    if (manifests.has(digest)) continue;
    const other = await fetchImage(client, reference, {
      digest,
      mediaType,
      size,
      ...(platform && { platform }),
    });
    manifests.set(digest, other.bytes);
  }
  const platform = family.isIndex
    ? undefined
    : await platformOf(client, built[0]?.image);
  const converted = convertV2({
    source: { mediaType: family.descriptor.mediaType, bytes: family.bytes },
    ...(platform !== undefined && { platform }),
    manifests,
    sociIndexes,
  });
  const documents = [...converted.sociIndexes, ...converted.manifests.values()];
  for (const { bytes, mediaType } of documents) {
    await client.pushManifest(reference, bytes, mediaType);
  }
  const image = await client.pushManifest(
    reference,
    converted.index.bytes,
    converted.index.mediaType,
    { tag },
  );
  return {
    image,
    indexes: converted.sociIndexes.map(({ descriptor }) => descriptor.digest),
  };
}

async function platformOf(
  client: RegistryClient,
  image: ResolvedImage | undefined,
): Promise<Platform | undefined> {
  if (image === undefined) return undefined;
  const bytes = await client.blobBytes(image.reference, image.manifest.config, {
    maxBytes: 8 * 2 ** 20,
  });
  const { os, architecture, variant } = JSON.parse(
    new TextDecoder().decode(bytes),
  );
  if (typeof os !== "string" || typeof architecture !== "string") {
    return undefined;
  }
  return typeof variant === "string" && variant !== ""
    ? { os, architecture, variant }
    : { os, architecture };
}
