import { type Digest, isDigest } from "./digest.ts";
import { isIndexMediaType, MEDIA } from "./media.ts";
import type { Platform } from "./platform.ts";

/** Points to content by digest (OCI image spec, descriptor.md). */
export interface Descriptor {
  /** What the content is; see `MEDIA`. Not to be believed before the content was read. */
  readonly mediaType: string;
  /** Of the content, the only thing that says which it is. */
  readonly digest: Digest;
  /** Bytes of the content. */
  readonly size: number;
  /** Other places with the content, which nothing here asks. */
  readonly urls?: readonly string[];
  /** Facts for readers of the list; a SOCI index uses them to say which layer a ztoc belongs to. */
  readonly annotations?: Readonly<Record<string, string>>;
  /** The content itself in base64, where it is small; not used here. */
  readonly data?: string;
  /** In an index: the machine that a manifest is for. */
  readonly platform?: Platform;
  /** The type of the artifact a manifest is. */
  readonly artifactType?: string;
}

/** One image, or an artifact that has its shape (OCI image spec, manifest.md). */
export interface ImageManifest {
  /** Always 2; version 1 is refused. */
  readonly schemaVersion: 2;
  /** OCI's or Docker's type of an image manifest. */
  readonly mediaType: string;
  /** What an artifact is; a container image has none. */
  readonly artifactType?: string;
  /** The image's configuration: its platform and diff IDs. */
  readonly config: Descriptor;
  /** The layers, the lowest first; an artifact's content. */
  readonly layers: readonly Descriptor[];
  /** The manifest that this one is about, which makes it one of its referrers. */
  readonly subject?: Descriptor;
  /** Facts about the whole image. */
  readonly annotations?: Readonly<Record<string, string>>;
}

/** A list of manifests, usually one a platform (OCI image spec, image-index.md). */
export interface ImageIndex {
  /** Always 2. */
  readonly schemaVersion: 2;
  /** OCI's type of an image index, or Docker's of a manifest list. */
  readonly mediaType: string;
  /** What an artifact is; an image's index has none. */
  readonly artifactType?: string;
  /** One a platform, attestations and SOCI indexes beside them. */
  readonly manifests: readonly Descriptor[];
  /** The manifest that this index is about. */
  readonly subject?: Descriptor;
  /** Facts about the whole index. */
  readonly annotations?: Readonly<Record<string, string>>;
}

/** A manifest or index is not what the specification asks for. */
export class ManifestError extends Error {
  static {
    this.prototype.name = "ManifestError";
  }
}

/** The most bytes of a manifest or index; registries refuse larger ones too. */
export const MAX_MANIFEST_BYTES = 4 * 2 ** 20;
/** The most layers or manifests one list may hold. */
export const MAX_DESCRIPTORS = 10_000;

/** Advice for an image in Docker's first format, which has no layers that could be indexed. */
const SCHEMA_1_ADVICE =
  "in Docker's old manifest format (schema 1), which is not supported; push it again as OCI or schema 2 (for example: skopeo copy --format oci)";

type Json = Record<string, unknown>;

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function parseObject(bytes: Uint8Array): Json {
  if (bytes.length > MAX_MANIFEST_BYTES) {
    throw new ManifestError(
      `manifest of ${bytes.length} bytes is over ${MAX_MANIFEST_BYTES}`,
    );
  }
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new ManifestError("manifest is no JSON", { cause });
  }
  if (!isObject(value)) throw new ManifestError("manifest is no JSON object");
  if (value.schemaVersion === 1) {
    throw new ManifestError(`the image is ${SCHEMA_1_ADVICE}`);
  }
  if (value.schemaVersion !== 2) {
    throw new ManifestError(
      `manifest has schemaVersion ${String(value.schemaVersion)}, not 2`,
    );
  }
  return value;
}

function parseAnnotations(
  value: unknown,
  where: string,
): Record<string, string> {
  if (
    !isObject(value) ||
    Object.values(value).some((item) => typeof item !== "string")
  ) {
    throw new ManifestError(`${where}.annotations is no map of strings`);
  }
  return value as Record<string, string>;
}

function parsePlatformField(value: unknown, where: string): Platform {
  if (
    !isObject(value) || typeof value.os !== "string" ||
    typeof value.architecture !== "string"
  ) {
    throw new ManifestError(`${where}.platform lacks os or architecture`);
  }
  return value as unknown as Platform;
}

/** Some registries write absent fields as null. */
function optionalString(value: unknown, where: string): string | undefined {
  if (value == null) return undefined;
  if (typeof value === "string") return value;
  throw new ManifestError(`${where} is no string`);
}

/**
 * Checks one descriptor from JSON.
 * @param where its place, for errors: `layers[3]`.
 * @throws ManifestError
 */
export function parseDescriptor(value: unknown, where: string): Descriptor {
  if (!isObject(value)) throw new ManifestError(`${where} is no descriptor`);
  const { mediaType, digest, size } = value;
  if (typeof mediaType !== "string") {
    throw new ManifestError(`${where}.mediaType is no string`);
  }
  if (!isDigest(digest)) {
    throw new ManifestError(`${where}.digest is no sha256 digest`);
  }
  if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) {
    throw new ManifestError(`${where}.size is no size`);
  }
  const artifactType = optionalString(
    value.artifactType,
    `${where}.artifactType`,
  );
  const data = optionalString(value.data, `${where}.data`);
  const { urls, annotations, platform } = value;
  if (
    urls != null &&
    !(Array.isArray(urls) && urls.every((url) => typeof url === "string"))
  ) {
    throw new ManifestError(`${where}.urls is no list of strings`);
  }
  return {
    mediaType,
    digest,
    size,
    ...(urls != null && { urls: urls as string[] }),
    ...(annotations != null &&
      { annotations: parseAnnotations(annotations, where) }),
    ...(data !== undefined && { data }),
    ...(platform != null && { platform: parsePlatformField(platform, where) }),
    ...(artifactType !== undefined && artifactType !== "" && { artifactType }),
  };
}

function parseList(value: unknown, where: string): Descriptor[] {
  if (!Array.isArray(value)) throw new ManifestError(`${where} is no list`);
  if (value.length > MAX_DESCRIPTORS) {
    throw new ManifestError(
      `${where} holds ${value.length} entries, over ${MAX_DESCRIPTORS}`,
    );
  }
  return value.map((item, i) => parseDescriptor(item, `${where}[${i}]`));
}

function commonFields(
  value: Json,
): Pick<ImageManifest, "artifactType" | "subject" | "annotations"> {
  const artifactType = optionalString(value.artifactType, "artifactType");
  return {
    ...(artifactType !== undefined && artifactType !== "" && { artifactType }),
    ...(value.subject != null &&
      { subject: parseDescriptor(value.subject, "subject") }),
    ...(value.annotations != null &&
      { annotations: parseAnnotations(value.annotations, "manifest") }),
  };
}

/**
 * Reads an image manifest, Docker or OCI.
 * @param mediaType what the registry said, used where the document does not say.
 * @throws ManifestError
 */
export function parseManifest(
  bytes: Uint8Array,
  mediaType: string = MEDIA.ociManifest,
): ImageManifest {
  const value = parseObject(bytes);
  const said = optionalString(value.mediaType, "mediaType") || mediaType;
  // A document that is both (layers and manifests) could be read as either: refuse it.
  if (isIndexMediaType(said) || value.manifests != null) {
    throw new ManifestError(
      "document is an index, not a manifest of one image",
    );
  }
  return {
    schemaVersion: 2,
    mediaType: said,
    config: parseDescriptor(value.config, "config"),
    layers: parseList(value.layers ?? [], "layers"),
    ...commonFields(value),
  };
}

/**
 * Reads an image index or Docker manifest list.
 * @throws ManifestError
 */
export function parseIndex(
  bytes: Uint8Array,
  mediaType: string = MEDIA.ociIndex,
): ImageIndex {
  const value = parseObject(bytes);
  const said = optionalString(value.mediaType, "mediaType") || mediaType;
  if (value.layers != null || value.config != null) {
    throw new ManifestError(
      "document is a manifest of one image, not an index",
    );
  }
  return {
    schemaVersion: 2,
    mediaType: said,
    manifests: parseList(value.manifests ?? [], "manifests"),
    ...commonFields(value),
  };
}

/** The entries of an index that can be used, and how many cannot. */
export interface IndexEntries {
  /** Those that can be used, in the index's order. */
  readonly entries: readonly Descriptor[];
  /** Entries that are no descriptors, or have digests of other algorithms than SHA-256. */
  readonly passedOver: number;
}

/**
 * Reads an index that others write to, and skips bad entries, so that one of them does not hide the
 * others.
 * @param read reads one entry. @returns null where the document is no index at all.
 */
export function readIndexEntries(
  bytes: Uint8Array,
  read: typeof parseDescriptor = parseDescriptor,
): IndexEntries | null {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return null; // no JSON, so no index
  }
  if (!isObject(value)) return null;
  if (value.layers != null || value.config != null) return null;
  const list = value.manifests ?? (value.schemaVersion === 2 ? [] : null);
  if (!Array.isArray(list)) return null;
  const entries: Descriptor[] = [];
  for (const item of list.slice(0, MAX_DESCRIPTORS)) {
    try {
      entries.push(read(item, "manifests[]"));
    } catch (error) {
      if (!(error instanceof ManifestError)) throw error;
    }
  }
  return { entries, passedOver: list.length - entries.length };
}
