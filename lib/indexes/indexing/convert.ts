import type { ArtifactSink, ImageSource } from "../../remote/content/mod.ts";
import {
  type Descriptor,
  type Digest,
  formatPlatform,
  isManifestMediaType,
  parseIndex,
  parseManifest,
} from "../../formats/oci/mod.ts";
import {
  encodePins,
  ORDER_ANNOTATION,
  ORDER_MEDIA,
  orderAnnotations,
} from "../../formats/order/mod.ts";
import {
  convertV2,
  SOCI_ANNOTATION,
  SOCI_MEDIA,
} from "../../formats/soci/mod.ts";
import type { ImageFamily } from "../../remote/image/mod.ts";
import {
  type BuiltImage,
  indexOf,
  type MadeIndex,
  putEmptyConfig,
} from "./build.ts";

import { companionOf, type MadeCompanion } from "./companion.ts";

/** What is converted, and where it goes. */
export interface ConvertOptions {
  /** Where the image is read. */
  readonly source: ImageSource;
  /** Where the converted image goes. */
  readonly sink: ArtifactSink;
  /** The image: one manifest, or an index of several. */
  readonly family: ImageFamily;
  /** The images of the family that were indexed; their ztocs are in the sink. */
  readonly built: readonly BuiltImage[];
  /** The converted image's name; null where the sink keeps one without. */
  readonly name: string | null;
  /**
   * `share`: the sink is the image's own place, so only new documents are put. `copy`: everything that
   * the converted image names is put, without images that the source does not have.
   */
  readonly content: "share" | "copy";
  /** Ends the conversion; the new name is put last. */
  readonly signal?: AbortSignal | undefined;
  /** Load orders of the images, which are in the sink: the SOCI indexes pin them. Default: none. */
  readonly orders?: readonly PinnedOrder[] | undefined;
  /** Told of each layer and config that is about to be copied. */
  readonly onCopy?: (content: Descriptor) => void;
}

/** A load order that the SOCI index of an image is to pin. */
export interface PinnedOrder {
  /** The image. */
  readonly built: BuiltImage;
  /** Which workload it is for. */
  readonly workload: string;
  /** Of its manifest. */
  readonly descriptor: Descriptor;
}

/** A converted image, at its place. */
export interface Converted {
  /** The new image index. */
  readonly image: Descriptor;
  /** The SOCI indexes it binds, with the image manifest each is bound to now. */
  readonly indexes: readonly (MadeIndex & {
    readonly companion: MadeCompanion | null;
    readonly manifest: Digest;
    readonly built: BuiltImage;
  })[];
}

/**
 * Binds an image to SOCI indexes v2 of its images and puts the result: the same layers under a new
 * image index. The source stays as it is.
 * @throws SociError when nothing was indexed
 */
export async function convertImage(
  options: ConvertOptions,
): Promise<Converted> {
  const { source, sink, family, signal } = options;
  const made = options.built.filter(({ ztocs }) => ztocs.length > 0)
    .map((built) => {
      const companion = companionOf(built, null);
      const annotations = {
        ...pinsOf(built, options),
        ...(companion && {
          [SOCI_ANNOTATION.companion]: companion.descriptor.digest,
        }),
      };
      return { ...indexOf(built, 2, annotations), companion, built };
    });
  const manifests = await manifestsHere(options);
  const platform = family.isIndex ? null : options.built[0]?.image.platform;
  const converted = convertV2({
    source: { mediaType: family.descriptor.mediaType, bytes: family.bytes },
    ...(platform != null && { platform }),
    manifests,
    missing: options.content === "copy" ? "drop" : "keep",
    beside: [
      ...made.flatMap(besideIndex),
      ...(options.orders ?? []).map(besideImage),
    ],
    sociIndexes: new Map(
      made.map(({ built, bytes }) => [built.image.descriptor.digest, bytes]),
    ),
  });
  await putEmptyConfig(sink, signal);
  if (options.content === "copy") {
    const bound = new Set(
      converted.sociIndexes.map(({ descriptor }) => descriptor.digest),
    );
    const kept = parseIndex(converted.index.bytes).manifests;
    const changed = new Map(
      [...converted.manifests.values()].map((one) =>
        [one.descriptor.digest, one.bytes] as const
      ),
    );
    for (const child of kept) {
      if (bound.has(child.digest)) continue;
      const bytes = changed.get(child.digest) ?? manifests.get(child.digest);
      if (bytes !== undefined) await copyBlobs(child, bytes, options);
      if (bytes !== undefined) await sink.put(child, bytes, { signal });
    }
  }
  const documents = [
    ...made.flatMap(({ companion }) => companion ?? []),
    ...converted.sociIndexes,
    ...converted.manifests.values(),
  ];
  for (const { descriptor, bytes } of documents) {
    await sink.put(descriptor, bytes, { signal });
  }
  const { index } = converted;
  await sink.put(index.descriptor, index.bytes, { signal });
  await sink.tag(index.descriptor, options.name, { signal });
  return {
    image: index.descriptor,
    indexes: made.map((one) => {
      const before = one.built.image.descriptor.digest;
      return {
        ...one,
        manifest: converted.manifests.get(before)?.descriptor.digest ?? before,
      };
    }),
  };

  async function copyBlobs(
    { mediaType }: Descriptor,
    bytes: Uint8Array,
    { onCopy }: ConvertOptions,
  ) {
    const { config, layers } = parseManifest(bytes, mediaType);
    for (const blob of [config, ...layers]) {
      onCopy?.(blob);
      await sink.put(blob, () => source.stream(blob, { signal }), { signal });
    }
  }
}

/** The annotation by which an image's index names its load orders. */
function pinsOf(
  built: BuiltImage,
  { orders = [] }: ConvertOptions,
): Record<string, string> {
  const own = orders.filter((order) => order.built === built);
  if (own.length === 0) return {};
  const pins = own.map(({ workload, descriptor: { digest } }) => ({
    workload,
    digest,
  }));
  return { [ORDER_ANNOTATION.pins]: encodePins(pins) };
}

/** How the image's index lists the companion of a SOCI index, likewise. */
function besideIndex(
  { companion, built }: {
    readonly companion: MadeCompanion | null;
    readonly built: BuiltImage;
  },
): Descriptor[] {
  const { platform } = built.image;
  return companion === null ? [] : [{
    ...companion.descriptor,
    ...(platform !== null && { platform }),
    artifactType: SOCI_MEDIA.companion,
  }];
}

/** How the image's index lists a load order, so that registries and pushes keep it with the image. */
function besideImage({ built, workload, descriptor }: PinnedOrder): Descriptor {
  const { platform } = built.image;
  return {
    mediaType: descriptor.mediaType,
    digest: descriptor.digest,
    size: descriptor.size,
    annotations: orderAnnotations({
      workload,
      platform: platform === null ? "" : formatPlatform(platform),
    }),
    ...(platform !== null && { platform }),
    artifactType: ORDER_MEDIA.artifact,
  };
}

/** The bytes of the family's manifests that the source has, attestations too. */
async function manifestsHere(
  { source, family, built, signal }: ConvertOptions,
): Promise<Map<Digest, Uint8Array>> {
  const found = new Map<Digest, Uint8Array>(
    built.map(({ image }) => [image.descriptor.digest, image.bytes]),
  );
  if (!family.isIndex) return found;
  const { manifests } = parseIndex(family.bytes, family.descriptor.mediaType);
  for (const child of manifests) {
    if (!isManifestMediaType(child.mediaType) || found.has(child.digest)) {
      continue;
    }
    if (await source.has(child, { signal })) {
      found.set(child.digest, await source.bytes(child, { signal }));
    }
  }
  return found;
}
