import {
  type Descriptor,
  type Digest,
  hostPlatform,
  MEDIA,
  type Platform,
  sha256,
} from "../../../lib/formats/oci/mod.ts";
import type { LayerBlob, LayerPacking } from "./layer.ts";

/** What a container of the image runs. */
export interface RunConfig {
  readonly env?: readonly string[];
  readonly entrypoint?: readonly string[];
  readonly cmd?: readonly string[];
  readonly workingDir?: string;
  /** Paths that are volumes. */
  readonly volumes?: readonly string[];
  readonly user?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

/** An image with all its parts in memory. */
export interface Image {
  readonly kind: "image";
  readonly manifest: Uint8Array;
  readonly digest: Digest;
  readonly mediaType: string;
  readonly descriptor: Descriptor;
  readonly config: Uint8Array;
  readonly configDigest: Digest;
  readonly layers: readonly LayerBlob[];
  /** Config and layers by digest. */
  readonly blobs: ReadonlyMap<Digest, Uint8Array>;
}

/** Several images under one digest. */
export interface ImageSet {
  readonly kind: "index";
  readonly manifest: Uint8Array;
  readonly digest: Digest;
  readonly mediaType: string;
  readonly descriptor: Descriptor;
  readonly images: readonly Image[];
}

type Flavour = "oci" | "docker";

const LAYER_TYPE: Record<Flavour, Record<LayerPacking, string>> = {
  oci: {
    "gzip": MEDIA.ociLayerGzip,
    "gzip-multi": MEDIA.ociLayerGzip,
    "zstd": MEDIA.ociLayerZstd,
    "zstd-multi": MEDIA.ociLayerZstd,
    "none": MEDIA.ociLayer,
  },
  docker: {
    "gzip": MEDIA.dockerLayerGzip,
    "gzip-multi": MEDIA.dockerLayerGzip,
    "zstd": MEDIA.dockerLayerZstd,
    "zstd-multi": MEDIA.dockerLayerZstd,
    "none": MEDIA.dockerLayer,
  },
};

const CREATED = "2020-01-02T03:04:05Z";
const encode = (value: unknown) =>
  new TextEncoder().encode(JSON.stringify(value));

/** An image of the given layers, lowest first. */
export function makeImage(options: {
  layers: readonly LayerBlob[];
  config?: RunConfig;
  mediaTypes?: Flavour;
  platform?: Platform;
  annotations?: Readonly<Record<string, string>>;
}): Image {
  const { layers, config: run = {}, mediaTypes: flavour = "oci" } = options;
  const platform = options.platform ?? hostPlatform();
  const config = encode({
    created: CREATED,
    architecture: platform.architecture,
    os: platform.os,
    ...(platform.variant === undefined ? {} : { variant: platform.variant }),
    config: {
      Env: run.env ??
        ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
      ...(run.entrypoint === undefined ? {} : { Entrypoint: run.entrypoint }),
      ...(run.cmd === undefined ? {} : { Cmd: run.cmd }),
      ...(run.workingDir === undefined ? {} : { WorkingDir: run.workingDir }),
      ...(run.volumes === undefined ? {} : {
        Volumes: Object.fromEntries(run.volumes.map((path) => [path, {}])),
      }),
      ...(run.user === undefined ? {} : { User: run.user }),
      ...(run.labels === undefined ? {} : { Labels: run.labels }),
    },
    rootfs: { type: "layers", diff_ids: layers.map((layer) => layer.diffId) },
    history: layers.map((_, index) => ({
      created: CREATED,
      created_by: `layer ${index}`,
    })),
  });
  const configDigest = sha256(config);
  const mediaType = flavour === "oci"
    ? MEDIA.ociManifest
    : MEDIA.dockerManifest;
  const manifest = encode({
    schemaVersion: 2,
    mediaType,
    config: {
      mediaType: flavour === "oci" ? MEDIA.ociConfig : MEDIA.dockerConfig,
      digest: configDigest,
      size: config.length,
    },
    layers: layers.map((layer) => ({
      mediaType: LAYER_TYPE[flavour][layer.packing],
      digest: layer.digest,
      size: layer.bytes.length,
    })),
    ...(options.annotations === undefined
      ? {}
      : { annotations: options.annotations }),
  });
  const digest = sha256(manifest);
  return {
    kind: "image",
    manifest,
    digest,
    mediaType,
    descriptor: { mediaType, digest, size: manifest.length, platform },
    config,
    configDigest,
    layers,
    blobs: new Map([
      [configDigest, config],
      ...layers.map((layer) => [layer.digest, layer.bytes] as const),
    ]),
  };
}

/** An index (or Docker manifest list) of images, each with its platform. */
export function imageIndex(
  images: readonly Image[],
  options: { mediaTypes?: Flavour } = {},
): ImageSet {
  const mediaType = options.mediaTypes === "docker"
    ? MEDIA.dockerIndex
    : MEDIA.ociIndex;
  const manifest = encode({
    schemaVersion: 2,
    mediaType,
    manifests: images.map((image) => image.descriptor),
  });
  const digest = sha256(manifest);
  return {
    kind: "index",
    manifest,
    digest,
    mediaType,
    descriptor: { mediaType, digest, size: manifest.length },
    images,
  };
}
