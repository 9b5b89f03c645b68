import type { Containerd } from "../../remote/containerd/mod.ts";
import {
  type Descriptor,
  type Digest,
  formatPlatform,
  type ImageManifest,
  isIndexMediaType,
  MAX_MANIFEST_BYTES,
  MEDIA,
  parseIndex,
  parseManifest,
  type Platform,
} from "../../formats/oci/mod.ts";
import {
  decodeIndex,
  isZtoc,
  layerOf,
  SOCI_ANNOTATION,
  SOCI_MEDIA,
  type SociIndex,
  spanSizeOf,
  xattrsAreDisabled,
} from "../../formats/soci/mod.ts";
import { creationTime } from "./database.ts";
import type { ArtifactStore, StoredContent } from "./store.ts";

/** What a rebuild did. */
export interface RebuildResult {
  /** Records of artifacts that were not there any more. */
  readonly forgotten: number;
  /** SOCI indexes found. */
  readonly indexes: number;
  /** Ztocs and prefetch lists found through them. */
  readonly artifacts: number;
}

/** Documents of the content store, by what they are. */
interface Documents {
  readonly sociIndexes: Map<Digest, { index: SociIndex; at: StoredContent }>;
  readonly manifests: Map<Digest, ImageManifest>;
  /** The image index a manifest is listed in, and the platform it says. */
  readonly parents: Map<Digest, { index: Digest; platform: Platform | null }>;
}

const OPENING_BRACE = 0x7b;

/**
 * Rebuilds the database from the content. It forgets artifacts that are gone, and finds SOCI indexes: v1
 * by the image they name, v2 by the image manifest that names them.
 * @param containerd whose names of images are used; null: none.
 */
export async function rebuildDatabase(
  store: ArtifactStore,
  containerd: Containerd | null,
  signal?: AbortSignal,
): Promise<RebuildResult> {
  const here = new Map<Digest, StoredContent>();
  for await (const content of store.content.list()) {
    signal?.throwIfAborted();
    here.set(content.digest, content);
  }
  let forgotten = 0;
  for (const digest of store.database.digests()) {
    if (!here.has(digest)) forgotten += store.database.remove(digest);
  }
  const documents = await readDocuments(store, here, signal);
  const names = new Map<Digest, string>();
  for (const { name, target } of await containerd?.images.list() ?? []) {
    if (!names.has(target.digest)) names.set(target.digest, name);
  }
  let artifacts = 0;
  for (const [digest, { index, at }] of documents.sociIndexes) {
    for (const manifest of manifestsOf(digest, index, documents)) {
      await recordIndex(store, documents, names, {
        digest,
        index,
        at,
        manifest,
      });
    }
    artifacts += recordLayers(store, here, index, at);
  }
  return { forgotten, indexes: documents.sociIndexes.size, artifacts };
}

async function readDocuments(
  { content }: ArtifactStore,
  here: ReadonlyMap<Digest, StoredContent>,
  signal: AbortSignal | undefined,
): Promise<Documents> {
  const documents: Documents = {
    sociIndexes: new Map(),
    manifests: new Map(),
    parents: new Map(),
  };
  for (const at of here.values()) {
    signal?.throwIfAborted();
    const { digest, size } = at;
    if (size > MAX_MANIFEST_BYTES || size < 2) continue;
    const id = { mediaType: MEDIA.octetStream, digest, size };
    const start = await content.stream(id, { length: 1, signal });
    const [first] = new Uint8Array(await new Response(start).arrayBuffer());
    if (first !== OPENING_BRACE) continue; // layers and ztocs are not JSON
    readDocument(documents, at, await content.bytes(id, { signal }));
  }
  return documents;
}

/** Records a document; skips documents that are not ours. */
function readDocument(
  documents: Documents,
  at: StoredContent,
  bytes: Uint8Array,
): void {
  try {
    const mediaType = mediaTypeOf(bytes);
    if (isIndexMediaType(mediaType)) {
      for (const child of parseIndex(bytes, mediaType).manifests) {
        documents.parents.set(child.digest, {
          index: at.digest,
          platform: child.platform ?? null,
        });
      }
      return;
    }
    const manifest = parseManifest(bytes, mediaType);
    const { mediaType: config } = manifest.config;
    if (config === SOCI_MEDIA.indexV1 || config === SOCI_MEDIA.indexV2) {
      documents.sociIndexes.set(at.digest, { index: decodeIndex(bytes), at });
    } else documents.manifests.set(at.digest, manifest);
  } catch {
    // Any content may lie here; JSON that is not a manifest belongs to others.
  }
}

function mediaTypeOf(bytes: Uint8Array): string {
  const value = Object(JSON.parse(new TextDecoder().decode(bytes)));
  if (typeof value.mediaType === "string") return value.mediaType;
  return value.manifests === undefined ? MEDIA.ociManifest : MEDIA.ociIndex;
}

/** The image manifests that an index was made for. */
function manifestsOf(
  digest: Digest,
  index: SociIndex,
  { manifests }: Documents,
): Digest[] {
  if (index.subject !== undefined) return [index.subject.digest];
  return [...manifests].filter(([, { annotations }]) =>
    annotations?.[SOCI_ANNOTATION.indexDigest] === digest
  ).map(([manifest]) => manifest);
}

async function recordIndex(
  store: ArtifactStore,
  documents: Documents,
  names: ReadonlyMap<Digest, string>,
  { digest, index, at, manifest }: {
    readonly digest: Digest;
    readonly index: SociIndex;
    readonly at: StoredContent;
    readonly manifest: Digest;
  },
): Promise<void> {
  const parent = documents.parents.get(manifest);
  const config = documents.manifests.get(manifest)?.config;
  const platform = parent?.platform ??
    (config === undefined ? null : await configPlatform(store, config));
  // A manifest may have a name of its own as well as an index above it.
  const imageDigest = names.has(manifest)
    ? manifest
    : parent?.index ?? manifest;
  const known = store.database.get(digest).some(({ originalDigest }) =>
    originalDigest === manifest
  );
  if (known) return; // what is known has its time and name already
  store.database.record({
    kind: "index",
    digest,
    sizeBytes: at.size,
    originalDigest: manifest,
    mediaType: MEDIA.ociManifest,
    artifactType: index.config.mediaType,
    imageDigest,
    imageName: names.get(imageDigest) ?? null,
    platform: platform === null ? null : formatPlatform(platform),
    spanSizeBytes: null,
    noXattrs: null,
    createdAt: at.createdAt ?? creationTime(),
  });
}

async function configPlatform(
  { content }: ArtifactStore,
  config: Descriptor,
): Promise<Platform | null> {
  if (config.size > MAX_MANIFEST_BYTES || !await content.has(config)) {
    return null;
  }
  try {
    const text = new TextDecoder().decode(await content.bytes(config));
    const { os, architecture } = Object(JSON.parse(text));
    return typeof os === "string" && typeof architecture === "string"
      ? { os, architecture }
      : null;
  } catch {
    return null; // no image config
  }
}

function recordLayers(
  { database }: ArtifactStore,
  here: ReadonlyMap<Digest, StoredContent>,
  { layers }: SociIndex,
  at: StoredContent,
): number {
  let count = 0;
  for (const layer of layers) {
    const original = layerOf(layer);
    if (original === null || !here.has(layer.digest)) continue;
    const ztoc = isZtoc(layer);
    if (!ztoc && layer.mediaType !== SOCI_MEDIA.prefetch) continue;
    count++;
    const known = database.get(layer.digest).some(({ originalDigest }) =>
      originalDigest === original
    );
    if (known) continue;
    database.record({
      kind: ztoc ? "ztoc" : "prefetch",
      digest: layer.digest,
      sizeBytes: layer.size,
      originalDigest: original,
      mediaType: layer.mediaType,
      artifactType: "",
      imageDigest: null,
      imageName: null,
      platform: null,
      spanSizeBytes: ztoc ? spanSizeOf(layer) : null,
      noXattrs: xattrsAreDisabled(layer) ? true : null,
      createdAt: at.createdAt ?? creationTime(),
    });
  }
  return count;
}
