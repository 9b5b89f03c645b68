import {
  type ArtifactRecord,
  type ArtifactStore,
  creationTime,
} from "../artifacts/mod.ts";
import type { ArtifactSink, ImageSource } from "../../remote/content/mod.ts";
import {
  type Descriptor,
  type Digest,
  formatPlatform,
  MEDIA,
} from "../../formats/oci/mod.ts";
import type { ImageFamily } from "../../remote/image/mod.ts";
import { layerOf, SOCI_MEDIA } from "../../formats/soci/mod.ts";
import { type BuiltImage, type MadeIndex, putIndexV1 } from "./build.ts";
import { type Converted, convertImage, type PinnedOrder } from "./convert.ts";

/** Writes down prefetch lists; ztocs were written down by their ledger as they were finished. */
function recordPrefetch(
  { database }: ArtifactStore,
  { prefetch }: BuiltImage,
): void {
  for (const descriptor of prefetch) {
    const { digest, size } = descriptor;
    database.record({
      kind: "prefetch",
      digest,
      sizeBytes: size,
      originalDigest: layerOf(descriptor)!, // it was made just now
      mediaType: SOCI_MEDIA.prefetch,
      artifactType: "",
      imageDigest: null,
      imageName: null,
      platform: null,
      spanSizeBytes: null,
      noXattrs: null,
      createdAt: creationTime(),
    });
  }
}

function indexRecord(
  made: MadeIndex,
  { platform }: BuiltImage["image"],
  of: { manifest: Digest; image: Digest; name: string | null },
): ArtifactRecord {
  return {
    kind: "index",
    digest: made.descriptor.digest,
    sizeBytes: made.descriptor.size,
    originalDigest: of.manifest,
    mediaType: MEDIA.ociManifest,
    artifactType: made.index.config.mediaType,
    imageDigest: of.image,
    imageName: of.name,
    platform: platform === null ? null : formatPlatform(platform),
    spanSizeBytes: null,
    noXattrs: null,
    createdAt: creationTime(),
  };
}

/**
 * Keeps an index v1 of built ztocs in the local store, to be pushed later.
 * @param image what the image's name stands for.
 * @throws SociError when there are no ztocs
 */
export async function keepIndexV1(
  store: ArtifactStore,
  image: Descriptor,
  built: BuiltImage,
  options: { readonly name: string | null; readonly signal?: AbortSignal },
): Promise<Awaited<ReturnType<typeof putIndexV1>>> {
  const made = await putIndexV1(store.content, built, options.signal);
  recordPrefetch(store, built);
  store.database.record(indexRecord(made, built.image, {
    manifest: built.image.descriptor.digest,
    image: image.digest,
    name: options.name,
  }));
  return made;
}

/** Converts an image (v2) where it lies, and writes down its indexes. @throws SociError */
export async function keepConversion(
  store: ArtifactStore,
  options: {
    readonly source: ImageSource;
    readonly sink: ArtifactSink;
    readonly family: ImageFamily;
    readonly built: readonly BuiltImage[];
    readonly name: string;
    readonly orders?: readonly PinnedOrder[];
    readonly signal?: AbortSignal;
  },
): Promise<Converted> {
  const converted = await convertImage({ ...options, content: "share" });
  for (const made of converted.indexes) {
    recordPrefetch(store, made.built);
    store.database.record(indexRecord(made, made.built.image, {
      manifest: made.manifest,
      image: converted.image.digest,
      name: options.name,
    }));
  }
  return converted;
}
