import {
  annotationsJson,
  type Descriptor,
  descriptorJson,
  type Digest,
  documentBytes,
  type ImageManifest,
  isDigest,
  layerCompression,
  MEDIA,
  parseManifest,
} from "../oci/mod.ts";
import { BUILD_TOOL, MAX_ZTOC_BYTES } from "../ztoc/mod.ts";
import { SociError } from "./errors.ts";
import {
  EMPTY_CONFIG,
  EMPTY_CONFIG_DIGEST,
  MAX_INDEX_BYTES,
  MAX_PREFETCH_BYTES,
  SOCI_ANNOTATION,
  SOCI_MEDIA,
} from "./names.ts";

/** 1: found through the image manifest it names; 2: named by the image manifest. */
export type SociIndexVersion = 1 | 2;

/** The ztocs of one image. On the wire it is an OCI image manifest. */
export interface SociIndex {
  /** 1 is found by asking for the image's referrers, 2 is pinned by the image itself. */
  readonly version: SociIndexVersion;
  /** The empty document `{}`; its media type tells the version. */
  readonly config: Descriptor;
  /** Ztocs in the order of the image's layers, then prefetch lists. Layers may be missing. */
  readonly layers: readonly Descriptor[];
  /** The image manifest; version 1 only. */
  readonly subject?: Descriptor;
  /** Which tool made it, and what others add. */
  readonly annotations?: Readonly<Record<string, string>>;
}

/** What {@link makeIndex} needs. */
export interface MakeIndexOptions {
  /** Ztocs, as {@link ztocDescriptor} makes them, then prefetch lists. */
  readonly layers: readonly Descriptor[];
  /** The image manifest: given, the index is of version 1. */
  readonly subject?: Pick<Descriptor, "mediaType" | "digest" | "size">;
  /** Default: the identifier of the existing tools. */
  readonly buildTool?: string;
  /** Beside the build tool's. */
  readonly annotations?: Readonly<Record<string, string>>;
}

/**
 * An index of these ztocs.
 * @throws SociError when there are none.
 */
export function makeIndex(
  { layers, subject, buildTool = BUILD_TOOL, annotations }: MakeIndexOptions,
): SociIndex {
  if (layers.length === 0) {
    throw new SociError("empty", "no layer of the image was indexed");
  }
  return {
    version: subject === undefined ? 2 : 1,
    config: {
      mediaType: subject === undefined
        ? SOCI_MEDIA.indexV2
        : SOCI_MEDIA.indexV1,
      digest: EMPTY_CONFIG_DIGEST,
      size: EMPTY_CONFIG.length,
    },
    layers,
    ...(subject !== undefined && {
      subject: {
        mediaType: subject.mediaType,
        digest: subject.digest,
        size: subject.size,
      },
    }),
    annotations: { ...annotations, [SOCI_ANNOTATION.buildTool]: buildTool },
  };
}

/** What an index says of a ztoc. */
export interface ZtocDescriptorOptions {
  /** Of the ztoc. */
  readonly digest: Digest;
  /** Bytes of the ztoc. */
  readonly size: number;
  /** The layer that the ztoc is of. */
  readonly layer: Pick<Descriptor, "mediaType" | "digest">;
  /** Uncompressed bytes of a span, as asked for when the ztoc was made. */
  readonly spanSizeBytes: number;
  /** Whether the layer holds no extended attributes; see `hasNoXattrs`. */
  readonly disableXattrs?: boolean;
}

function isZstd({ mediaType }: Pick<Descriptor, "mediaType">): boolean {
  return layerCompression(mediaType) === "zstd";
}

/** The media type of a layer's ztoc. */
export function ztocMediaType(layer: Pick<Descriptor, "mediaType">): string {
  return isZstd(layer) ? SOCI_MEDIA.ztocOfZstd : SOCI_MEDIA.ztoc;
}

/** How a ztoc or prefetch list names its layer. */
export function layerAnnotation(
  layer: Pick<Descriptor, "mediaType" | "digest">,
): Readonly<Record<string, string>> {
  const key = isZstd(layer) ? "zstdLayerDigest" : "layerDigest";
  return { [SOCI_ANNOTATION[key]]: layer.digest };
}

/** The layer that a ztoc or prefetch list is of; null where it does not say. */
export function layerOf({ annotations }: Descriptor): Digest | null {
  const digest = annotations?.[SOCI_ANNOTATION.layerDigest] ??
    annotations?.[SOCI_ANNOTATION.zstdLayerDigest];
  return isDigest(digest) ? digest : null;
}

/** Whether a descriptor of an index is that of a ztoc. */
export function isZtoc({ mediaType }: Pick<Descriptor, "mediaType">): boolean {
  return mediaType === SOCI_MEDIA.ztoc || mediaType === SOCI_MEDIA.ztocOfZstd;
}

/** The descriptor of a ztoc in an index. */
export function ztocDescriptor(options: ZtocDescriptorOptions): Descriptor {
  const { digest, size, layer, spanSizeBytes, disableXattrs } = options;
  return {
    mediaType: ztocMediaType(layer),
    digest,
    size,
    annotations: {
      ...layerAnnotation(layer),
      [SOCI_ANNOTATION.layerMediaType]: layer.mediaType,
      [SOCI_ANNOTATION.spanSize]: String(spanSizeBytes),
      ...(disableXattrs && { [SOCI_ANNOTATION.disableXattrs]: "true" }),
    },
  };
}

/**
 * Writes an index exactly as the existing tools do. Their daemon decodes an index, encodes it again
 * and stores that under the first digest, so any other form is lost to it.
 */
export function encodeIndex(index: SociIndex): Uint8Array {
  return documentBytes({
    schemaVersion: 2,
    mediaType: MEDIA.ociManifest,
    config: descriptorJson(index.config),
    layers: index.layers.map(descriptorJson),
    ...(index.subject && { subject: descriptorJson(index.subject) }),
    ...annotationsJson(index.annotations),
  });
}

const VERSION: ReadonlyMap<string, SociIndexVersion> = new Map([
  [SOCI_MEDIA.indexV1, 1],
  [SOCI_MEDIA.indexV2, 2],
]);

/**
 * Reads an index from an untrusted place. Keep the bytes that came: their digest is the index's, and
 * writing it again may give others.
 * @throws SociError
 */
export function decodeIndex(bytes: Uint8Array): SociIndex {
  if (bytes.length > MAX_INDEX_BYTES) {
    throw new SociError("invalid", `SOCI index of ${bytes.length} bytes`);
  }
  let manifest: ImageManifest;
  try {
    manifest = parseManifest(bytes);
  } catch (cause) {
    throw new SociError("not-an-index", "SOCI index is no manifest", { cause });
  }
  const version = VERSION.get(manifest.config.mediaType);
  if (version === undefined) {
    throw new SociError(
      "not-an-index",
      `no SOCI index: its config is ${
        JSON.stringify(manifest.config.mediaType)
      }`,
    );
  }
  const { subject } = manifest;
  if ((version === 1) !== (subject !== undefined)) {
    throw new SociError(
      "invalid",
      version === 1
        ? "SOCI index v1 names no image manifest"
        : "SOCI index v2 names an image manifest",
    );
  }
  for (const [i, layer] of manifest.layers.entries()) checkLayer(layer, i);
  return {
    version,
    config: manifest.config,
    layers: manifest.layers,
    ...(subject !== undefined && { subject }),
    ...(manifest.annotations && { annotations: manifest.annotations }),
  };
}

/** Media types that later tools may add are kept and ignored. */
function checkLayer(layer: Descriptor, i: number): void {
  const limit = isZtoc(layer)
    ? MAX_ZTOC_BYTES
    : layer.mediaType === SOCI_MEDIA.prefetch
    ? MAX_PREFETCH_BYTES
    : null;
  if (limit === null) return;
  const where = `SOCI index, layers[${i}]`;
  if (layer.size > limit) {
    throw new SociError("invalid", `${where} is of ${layer.size} bytes`);
  }
  if (layerOf(layer) === null) {
    throw new SociError(
      "invalid",
      `${where} does not say which layer it is of`,
    );
  }
}

/**
 * The ztocs of an index by their layer, the first one of each. An index never changes. It is searched
 * once for each layer of an image, and may list thousands.
 */
const ztocsOf = new WeakMap<SociIndex, ReadonlyMap<Digest, Descriptor>>();

/** The ztoc of a layer, or null when the layer has none. */
export function ztocForLayer(
  index: SociIndex,
  layer: Digest,
): Descriptor | null {
  let known = ztocsOf.get(index);
  if (known === undefined) {
    known = ztocsByLayer(index);
    ztocsOf.set(index, known);
  }
  return known.get(layer) ?? null;
}

function ztocsByLayer({ layers }: SociIndex): ReadonlyMap<Digest, Descriptor> {
  const found = new Map<Digest, Descriptor>();
  for (const entry of layers) {
    if (!isZtoc(entry)) continue;
    const layer = layerOf(entry);
    if (layer !== null && !found.has(layer)) found.set(layer, entry);
  }
  return found;
}

/** The prefetch list of a layer, or null. */
export function prefetchForLayer(
  index: SociIndex,
  layer: Digest,
): Descriptor | null {
  return index.layers.find((entry) =>
    entry.mediaType === SOCI_MEDIA.prefetch && layerOf(entry) === layer
  ) ?? null;
}

/** The span size a ztoc was made with, where its descriptor says so. */
export function spanSizeOf(ztoc: Descriptor): number | null {
  const text = ztoc.annotations?.[SOCI_ANNOTATION.spanSize] ?? "";
  const value = /^[0-9]{1,15}$/.test(text) ? Number(text) : 0;
  return value > 0 ? value : null;
}

/** Whether a ztoc's descriptor says that its layer holds no extended attributes. */
export function xattrsAreDisabled(ztoc: Descriptor): boolean {
  return ztoc.annotations?.[SOCI_ANNOTATION.disableXattrs] === "true";
}
