import {
  IndexerPool,
  IndexingError,
  largestFirst,
} from "../../layers/builder/mod.ts";
import {
  type ArtifactSink,
  ContentError,
  isMissing,
  type LayerSource,
} from "../../remote/content/mod.ts";
import {
  type Descriptor,
  type Digest,
  layerCompression,
  MEDIA,
  sha256,
} from "../../formats/oci/mod.ts";
import {
  EMPTY_CONFIG,
  EMPTY_CONFIG_DIGEST,
  encodeIndex,
  encodePrefetch,
  findPrefetch,
  hasNoXattrs,
  makeIndex,
  mergeSpanRanges,
  prefetchDescriptor,
  type SociIndex,
  type SpanRange,
  ztocDescriptor,
  ztocMediaType,
} from "../../formats/soci/mod.ts";
import {
  BUILD_TOOL,
  decodeZtoc,
  type WindowBytes,
} from "../../formats/ztoc/mod.ts";
import type { Image } from "../../remote/image/mod.ts";
import type { KnownZtoc, ZtocLedger } from "./ledger.ts";
import { sideBySide } from "./side_by_side.ts";
import { companionOf, putCompressed } from "./companion.ts";
import { describeZstd } from "./zstd.ts";

/** How the ztocs of an image are made. */
export interface BuildOptions {
  /** Where layers are read. */
  readonly source: LayerSource;
  /** Where ztocs go, each as soon as it is finished. */
  readonly sink: ArtifactSink & LayerSource | ArtifactSink;
  /** Minimum size of a span, uncompressed bytes. */
  readonly spanSizeBytes: number;
  /** Smaller layers get no ztoc, bytes of the blob. */
  readonly minLayerSizeBytes: number;
  /** What is kept of the windows of gzip layers. Default: all. */
  readonly windows?: WindowBytes;
  /** Known ztocs; the ledgers are asked in order. With `force` they only record new ones. */
  readonly ledgers: readonly ZtocLedger[];
  /** Rebuild known ztocs, too. */
  readonly force: boolean;
  /** Compress the ztocs for a companion too. Default: false. */
  readonly withCompanion?: boolean;
  /** Mark layers without extended attributes. */
  readonly optimizeXattrs: boolean;
  /** Files whose spans should be fetched first; searched from the topmost layer down. */
  readonly prefetchFiles: readonly string[];
  /** Layers indexed concurrently. */
  readonly concurrency: number;
  /** Aborts the build; ztocs that were stored stay. */
  readonly signal: AbortSignal;
  /** Told when a layer begins to be read. */
  readonly onLayerStart?: (layer: Descriptor) => void;
  /** Told how many more compressed bytes of a layer were read. */
  readonly onProgress?: (layer: Descriptor, bytes: number) => void;
  /** Called with the outcome of each layer, in the order in which they are finished. */
  readonly onLayer?: (layer: BuiltLayer) => void;
  /** Told of each prefetch list that was put. */
  readonly onPrefetch?: (layer: Descriptor, artifact: Digest) => void;
}

/** What became of one layer. */
export interface BuiltLayer {
  /** The layer, as its manifest names it. */
  readonly layer: Descriptor;
  /** `built` and `reused` have a ztoc; `unsupported` and `failed` say why there is none. */
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

/** The stored ztocs of an image; the index that lists them is not stored yet. */
export interface BuiltImage {
  /** The image the ztocs are of. */
  readonly image: Image;
  /** What became of each layer, in the manifest's order. */
  readonly layers: readonly BuiltLayer[];
  /** Ztocs in the order of the layers; none when no layer got one. */
  readonly ztocs: readonly Descriptor[];
  /** Prefetch lists in the order of the layers. */
  readonly prefetch: readonly Descriptor[];
  /** The ztocs compressed, in the same order; none where no companion was asked for. */
  readonly compressed: readonly Descriptor[];
  /** Files that no layer with a ztoc has. */
  readonly missingFiles: readonly string[];
}

/** A layer, its ztoc's descriptor, and the spans of files asked for. */
interface LayerResult extends BuiltLayer {
  readonly descriptor?: Descriptor;
  readonly compressed?: Descriptor;
  readonly files?: ReadonlyMap<string, readonly SpanRange[]>;
}

/**
 * Indexes the layers of one image and stores each ztoc when it is finished. After an interruption the
 * ledgers find the stored ztocs again. A layer that cannot be indexed is skipped and reported; a place
 * that fails ends the build.
 */
export async function buildZtocs(
  image: Image,
  options: BuildOptions,
): Promise<BuiltImage> {
  const { layers } = image.manifest;
  const results: LayerResult[] = new Array(layers.length);
  const next = largestFirst(layers).values();
  using pool = new IndexerPool(options.concurrency);
  // An image may have a layer twice; it is read once.
  const underWay = new Map<Digest, Promise<LayerResult>>();
  const stop = new AbortController();
  const both = AbortSignal.any([options.signal, stop.signal]);
  const inner = { ...options, signal: both };
  const work = async () => {
    for (const [at, layer] of next) {
      const result = underWay.get(layer.digest) ??
        buildLayer(image, layer, pool, inner);
      underWay.set(layer.digest, result);
      results[at] = { ...await result, layer };
      options.onLayer?.(results[at]);
    }
  };
  await sideBySide(Math.min(options.concurrency, layers.length), stop, work);
  return {
    image,
    layers: results.map(({ layer, outcome }) => ({ layer, outcome })),
    ztocs: results.flatMap(({ descriptor }) => descriptor ?? []),
    compressed: results.flatMap(({ compressed }) => compressed ?? []),
    ...await putPrefetch(results, options),
  };
}

async function buildLayer(
  image: Image,
  layer: Descriptor,
  pool: IndexerPool,
  options: BuildOptions,
): Promise<LayerResult> {
  const { signal, spanSizeBytes, windows = "all", sink } = options;
  signal.throwIfAborted();
  const compression = layerCompression(layer.mediaType);
  if (layer.size < options.minLayerSizeBytes) {
    return { layer, outcome: { kind: "too-small" } };
  }
  if (compression === "none") {
    return unsupported(layer, "unsupported format");
  }
  const known = options.force ? null : await findKnown(layer, options);
  if (known !== null) {
    return withFacts(layer, known.ztoc, "reused", known.bytes, options);
  }
  options.onLayerStart?.(layer);
  const stream = await options.source.stream(layer, { signal });
  let built;
  try {
    built = await pool.index(stream, {
      compression,
      spanSizeBytes,
      buildTool: BUILD_TOOL,
      diffId: "skip",
      windows,
      signal,
      onProgress: (bytes) => options.onProgress?.(layer, bytes),
    });
  } catch (error) {
    if (!(error instanceof IndexingError) || error.reason === "internal") {
      throw error;
    }
    if (compression === "zstd" && error.reason === "unsupported") {
      const { source } = options;
      return unsupported(layer, await describeZstd(source, layer, options));
    }
    return { layer, outcome: { kind: "failed", reason: error.message } };
  }
  if (built.digest !== layer.digest) {
    throw new ContentError(
      "integrity",
      options.source.place,
      layer.digest,
      `layer of ${image.descriptor.digest} came with digest ${built.digest}`,
    );
  }
  const bytes = built.ztoc;
  const id = {
    mediaType: ztocMediaType(layer),
    digest: sha256(bytes),
    size: bytes.length,
  };
  await sink.put(id, bytes, { signal });
  const ztoc: KnownZtoc = {
    digest: id.digest,
    sizeBytes: id.size,
    spanSizeBytes,
    windows,
    noXattrs: null,
  };
  return withFacts(layer, ztoc, "built", () => Promise.resolve(bytes), options);
}

function unsupported(layer: Descriptor, reason: string): LayerResult {
  return { layer, outcome: { kind: "unsupported", reason } };
}

/** Adds facts that only the ztoc itself holds, if they are requested. */
async function withFacts(
  layer: Descriptor,
  known: KnownZtoc,
  kind: "built" | "reused",
  read: () => Promise<Uint8Array>,
  options: BuildOptions,
): Promise<LayerResult> {
  const { optimizeXattrs, prefetchFiles, ledgers, withCompanion } = options;
  let ztoc = known;
  let compressed: Descriptor | undefined;
  if (withCompanion) {
    compressed = await putCompressed(known, read, options);
    ztoc = { ...known, compressed };
  }
  let files: ReadonlyMap<string, readonly SpanRange[]> | undefined;
  if (
    (optimizeXattrs && known.noXattrs === null) || prefetchFiles.length > 0
  ) {
    const decoded = decodeZtoc(await read());
    files = findPrefetch(decoded, prefetchFiles);
    ztoc = { ...ztoc, noXattrs: hasNoXattrs(decoded) };
  }
  for (const ledger of ledgers) ledger.record(layer, ztoc);
  return {
    layer,
    outcome: { kind, ztoc: ztoc.digest, ztocSize: ztoc.sizeBytes },
    descriptor: ztocDescriptor({
      digest: ztoc.digest,
      size: ztoc.sizeBytes,
      layer,
      spanSizeBytes: ztoc.spanSizeBytes,
      disableXattrs: optimizeXattrs && ztoc.noXattrs === true,
    }),
    ...(compressed !== undefined && { compressed }),
    ...(files !== undefined && { files }),
  };
}

/** A known ztoc that is in the sink, or could be copied there. */
async function findKnown(
  layer: Descriptor,
  { ledgers, sink, spanSizeBytes, windows = "all", signal }: BuildOptions,
): Promise<{ ztoc: KnownZtoc; bytes: () => Promise<Uint8Array> } | null> {
  for (const { find, content } of ledgers) {
    const ztoc = find(layer, { spanSizeBytes, windows });
    if (ztoc === null) continue;
    const id = {
      mediaType: ztocMediaType(layer),
      digest: ztoc.digest,
      size: ztoc.sizeBytes,
    };
    const from = content ?? (isSource(sink) ? sink : null);
    if (from === null) continue;
    try {
      if (isSource(sink) && await sink.has(id, { signal })) {
        return { ztoc, bytes: () => (sink as LayerSource).bytes(id) };
      }
      const bytes = await from.bytes(id, { signal });
      await sink.put(id, bytes, { signal });
      return { ztoc, bytes: () => Promise.resolve(bytes) };
    } catch (error) {
      if (!isMissing(error)) throw error; // it is gone, so it is built again
    }
  }
  return null;
}

function isSource(sink: ArtifactSink): sink is ArtifactSink & LayerSource {
  return "bytes" in sink && "has" in sink;
}

/** Makes the prefetch lists: a file's spans are those of the topmost layer that has it. */
async function putPrefetch(
  results: readonly LayerResult[],
  { sink, prefetchFiles, signal, onPrefetch }: BuildOptions,
): Promise<Pick<BuiltImage, "prefetch" | "missingFiles">> {
  const wanted = new Set(prefetchFiles);
  const ranges = new Map<Digest, SpanRange[]>();
  for (const result of results.toReversed()) {
    for (const [path, spans] of result.files ?? []) {
      if (!wanted.delete(path)) continue;
      const { digest } = result.layer;
      ranges.set(digest, [...(ranges.get(digest) ?? []), ...spans]);
    }
  }
  const prefetch: Descriptor[] = [];
  for (const result of results) {
    // A layer that comes twice has its list twice, as the existing tools write it.
    const spans = mergeSpanRanges(ranges.get(result.layer.digest) ?? []);
    if (spans.length === 0) continue;
    const bytes = encodePrefetch(spans);
    const descriptor = prefetchDescriptor(
      sha256(bytes),
      bytes.length,
      result.layer,
    );
    await sink.put(descriptor, bytes, { signal });
    onPrefetch?.(result.layer, descriptor.digest);
    prefetch.push(descriptor);
  }
  return { prefetch, missingFiles: [...wanted] };
}

/** A SOCI index with its bytes. */
export interface MadeIndex {
  /** What the index says. */
  readonly index: SociIndex;
  /** The document itself; its digest is the index's. */
  readonly bytes: Uint8Array;
  /** What others name it by. */
  readonly descriptor: Descriptor;
}

/** What an index is made of. */
export interface IndexParts
  extends Pick<BuiltImage, "ztocs" | "prefetch" | "compressed"> {
  /** The image manifest that the ztocs are of. */
  readonly image: { readonly descriptor: Descriptor };
}

/** The index of built ztocs: v1 names its image, v2 is named by it. @throws SociError when empty */
export function indexOf(
  { image, ztocs, prefetch }: IndexParts,
  version: 1 | 2,
  annotations: Readonly<Record<string, string>> = {},
): MadeIndex {
  const index = makeIndex({
    layers: [...ztocs, ...prefetch],
    ...(version === 1 && { subject: image.descriptor }),
    annotations,
  });
  const bytes = encodeIndex(index);
  return {
    index,
    bytes,
    descriptor: {
      mediaType: MEDIA.ociManifest,
      digest: sha256(bytes),
      size: bytes.length,
    },
  };
}

/** Puts the config that every SOCI index names. */
export async function putEmptyConfig(
  sink: ArtifactSink,
  signal?: AbortSignal,
): Promise<void> {
  await sink.put(
    {
      mediaType: MEDIA.octetStream,
      digest: EMPTY_CONFIG_DIGEST,
      size: EMPTY_CONFIG.length,
    },
    EMPTY_CONFIG,
    { signal },
  );
}

/**
 * Puts an index v1 of built ztocs, and before it its companion: whoever finds the index finds both.
 * @throws SociError when there are none
 */
export async function putIndexV1(
  sink: ArtifactSink,
  built: IndexParts,
  signal?: AbortSignal,
): Promise<MadeIndex & { readonly companion: Digest | null }> {
  const made = indexOf(built, 1);
  await putEmptyConfig(sink, signal);
  const companion = companionOf(built, made.descriptor.digest);
  if (companion !== null) {
    await sink.put(companion.descriptor, companion.bytes, { signal });
  }
  await sink.put(made.descriptor, made.bytes, { signal });
  return { ...made, companion: companion?.descriptor.digest ?? null };
}
