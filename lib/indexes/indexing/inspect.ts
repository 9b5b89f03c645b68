import type { LayerSource } from "../../remote/content/mod.ts";
import {
  type Descriptor,
  type Digest,
  formatPlatform,
  layerCompression,
} from "../../formats/oci/mod.ts";
import {
  decodePrefetch,
  prefetchForLayer,
  spanSizeOf,
  xattrsAreDisabled,
  ztocForLayer,
} from "../../formats/soci/mod.ts";
import type { DiscoveredIndex } from "../../remote/image/mod.ts";
import {
  decodeZtoc,
  DEFAULT_SPAN_SIZE_BYTES,
  spanTable,
} from "../../formats/ztoc/mod.ts";
import type { Image } from "../../remote/image/mod.ts";
import { compressedIn } from "./companion.ts";
import { describeZstd } from "./zstd.ts";

/** One layer, as its index has it. */
export interface InspectedLayer {
  /** Of the layer blob. */
  readonly digest: Digest;
  /** As the image's manifest says it. */
  readonly mediaType: string;
  /** Bytes of the blob. */
  readonly sizeBytes: number;
  /** What its ztoc says; null where it has none. */
  readonly ztoc: {
    readonly digest: Digest;
    readonly sizeBytes: number;
    /** Bytes of it as the companion has it; null where that has it not. */
    readonly compressedBytes: number | null;
    /** The span size asked for; null where the index does not say. */
    readonly spanSizeBytes: number | null;
    readonly spans: number;
    readonly files: number;
    /** Bytes of the tar inside. */
    readonly uncompressedSizeBytes: number;
    readonly xattrsDisabled: boolean;
  } | null;
  /** Spans that are fetched first; none without a prefetch list. */
  readonly prefetchSpans: number;
  /** Why the layer has no ztoc; null where it has one. */
  readonly uncovered: string | null;
}

/** What is known of an image's index. */
export interface InspectedImage {
  /** `os/arch`; null where the image does not say. */
  readonly platform: string | null;
  /** Digest of the image's manifest. */
  readonly manifest: Digest;
  /** The index, and how it was found; null if there is none. */
  readonly index: {
    readonly digest: Digest;
    readonly version: 1 | 2;
    readonly via: DiscoveredIndex["via"];
    readonly sizeBytes: number;
    readonly buildTool: string | null;
  } | null;
  /** The companion of the index, and its compressed ztocs; null if there is none that can be read. */
  readonly companion: {
    readonly digest: Digest;
    readonly ztocs: number;
    /** Bytes of them all. */
    readonly sizeBytes: number;
  } | null;
  /** The layers, the lowest first. */
  readonly layers: readonly InspectedLayer[];
  /** Bytes of all layers. */
  readonly totalBytes: number;
  /** Bytes of the layers that have a ztoc. */
  readonly coveredBytes: number;
  /** Bytes to download before a container starts: ztocs, and layers without one. */
  readonly beforeStartBytes: number;
}

/** The default of `--min-layer-size` here and in the existing tools. */
const USUAL_MIN_LAYER_BYTES = 10 * 2 ** 20;

/** Looks at the index of an image, reading its ztocs. @throws ZtocError and the source's errors */
export async function inspectImage(
  image: Image,
  found: DiscoveredIndex | null,
  source: LayerSource,
  signal?: AbortSignal,
): Promise<InspectedImage> {
  const compressed: ReadonlyMap<Digest, Descriptor> = found === null
    ? new Map()
    : compressedIn(
      await found.companion,
      { index: found.index, image: image.descriptor.digest },
    );
  const layers: InspectedLayer[] = [];
  for (const layer of image.manifest.layers) {
    layers.push(
      await inspectLayer(layer, { found, compressed, source, signal }),
    );
  }
  const sum = (of: (layer: InspectedLayer) => number) =>
    layers.reduce((all, layer) => all + of(layer), 0);
  return {
    platform: image.platform === null ? null : formatPlatform(image.platform),
    manifest: image.descriptor.digest,
    index: found === null ? null : {
      digest: found.digest,
      version: found.version,
      via: found.via,
      sizeBytes: found.bytes.length,
      buildTool: found.index.annotations
        ?.["com.amazon.soci.build-tool-identifier"] ?? null,
    },
    companion: found?.beside.companion == null || compressed.size === 0
      ? null
      : {
        digest: found.beside.companion.digest,
        ztocs: compressed.size,
        sizeBytes: compressed.values().reduce((all, { size }) => all + size, 0),
      },
    layers,
    totalBytes: sum(({ sizeBytes }) => sizeBytes),
    coveredBytes: sum(({ ztoc, sizeBytes }) => ztoc === null ? 0 : sizeBytes),
    beforeStartBytes: sum(({ ztoc, sizeBytes }) =>
      ztoc?.compressedBytes ?? ztoc?.sizeBytes ?? sizeBytes
    ),
  };
}

async function inspectLayer(
  layer: Descriptor,
  { found, compressed, source, signal }: {
    readonly found: DiscoveredIndex | null;
    readonly compressed: ReadonlyMap<Digest, Descriptor>;
    readonly source: LayerSource;
    readonly signal: AbortSignal | undefined;
  },
): Promise<InspectedLayer> {
  const { digest, mediaType, size: sizeBytes } = layer;
  const base = { digest, mediaType, sizeBytes };
  const descriptor = found === null ? null : ztocForLayer(found.index, digest);
  if (found === null || descriptor === null) {
    return {
      ...base,
      ztoc: null,
      prefetchSpans: 0,
      uncovered: found === null
        ? "the image has no index"
        : await whyNot(layer, source, signal),
    };
  }
  const ztoc = decodeZtoc(await source.bytes(descriptor, { signal }));
  const spans = spanTable(ztoc).count;
  const list = prefetchForLayer(found.index, digest);
  const ranges = list === null ? [] : decodePrefetch(
    await source.bytes(list, { signal }),
    ztoc.spanDigests.length,
  );
  return {
    ...base,
    ztoc: {
      digest: descriptor.digest,
      sizeBytes: descriptor.size,
      compressedBytes: compressed.get(descriptor.digest)?.size ?? null,
      spanSizeBytes: spanSizeOf(descriptor),
      spans,
      files: ztoc.entries.length,
      uncompressedSizeBytes: ztoc.uncompressedSize,
      xattrsDisabled: xattrsAreDisabled(descriptor),
    },
    prefetchSpans: ranges.reduce(
      (all, { start, end }) => all + end - start + 1,
      0,
    ),
    uncovered: null,
  };
}

/** The most likely reason why a layer has no ztoc: the index itself does not say. */
async function whyNot(
  layer: Descriptor,
  source: LayerSource,
  signal: AbortSignal | undefined,
): Promise<string> {
  const { mediaType, size } = layer;
  switch (layerCompression(mediaType)) {
    case "none":
      return `its format (${mediaType}) cannot be indexed`;
    case "zstd":
      return await describeZstd(source, layer, {
        spanSizeBytes: DEFAULT_SPAN_SIZE_BYTES,
        signal,
      });
    default:
      return size < USUAL_MIN_LAYER_BYTES
        ? "smaller than the usual --min-layer-size of 10 MiB"
        : "left out, or it could not be indexed (build-index --force tells why)";
  }
}
