import {
  type Descriptor,
  type Digest,
  isDigest,
  isIndexMediaType,
  isManifestMediaType,
  ManifestError,
  parseIndex,
  parseManifest,
} from "../../formats/oci/mod.ts";
import {
  decodePins,
  ORDER_ANNOTATION,
  ORDER_MEDIA,
} from "../../formats/order/mod.ts";
import { SOCI_ANNOTATION, SOCI_MEDIA } from "../../formats/soci/mod.ts";
import { isMissing } from "../../remote/content/mod.ts";
import { type PushOptions, pushTree } from "./push.ts";

/** What lies beside an image and goes with it. */
const BESIDE: readonly string[] = [
  ...[SOCI_MEDIA.indexV1, SOCI_MEDIA.indexV2, SOCI_MEDIA.companion],
  ORDER_MEDIA.artifact,
];
/** Referrers of one manifest that are copied; whoever may push can add more. */
const MAX_REFERRERS = 256;
/** Referrers of one manifest that are asked what they are, where the list does not say. */
const MAX_ASKED = 64;
/** Documents of one copy: a family of images with what is beside each. */
const MAX_DOCUMENTS = 4096;

/** An image on its way from one repository to another. */
export interface CopyOptions extends PushOptions {
  /** Manifests at the source that name this one as their subject. @throws errors of the registry */
  readonly referrers: (
    digest: Digest,
    signal?: AbortSignal,
  ) => Promise<readonly Descriptor[]>;
  /** What a digest stands for at the source. @throws an error that `isMissing` knows */
  readonly resolve: (
    digest: Digest,
    signal?: AbortSignal,
  ) => Promise<Descriptor>;
  /** `all`: also referrers that soci-deno does not know, such as signatures. */
  readonly beside: "known" | "all";
}

/** A document that was copied beside the image. */
export interface CopiedBeside {
  /** Of its manifest. */
  readonly digest: Digest;
  /** What it is; empty where its list does not say. */
  readonly artifactType: string;
  /** The manifest that it belongs to. */
  readonly of: Digest;
}

/** What was copied. */
export interface CopiedImage {
  /** Manifests of images and other members of the family, with the family's own document. */
  readonly documents: number;
  /** In the order in which they were copied. */
  readonly beside: readonly CopiedBeside[];
  /** Digests that an index names and the source does not have. */
  readonly missing: readonly Digest[];
}

/**
 * Copies an image with all its platforms, and what is beside it: indexes, companions and load orders, whether they
 * name the image or it names them. Everything is checked against its digest; what the sink has is not sent again.
 * The image comes first, as the others need it there.
 * @throws ContentError, RegistryError, ManifestError; the signal's reason
 */
export async function copyImage(
  root: Descriptor,
  options: CopyOptions,
): Promise<CopiedImage> {
  await pushTree(root, options);
  const waiting = await familyOf(root, options);
  const documents = waiting.length;
  const seen = new Set(waiting.map(({ digest }) => digest));
  const beside: CopiedBeside[] = [];
  const missing: Digest[] = [];
  const add = async (of: Digest, artifactType: string, one: Descriptor) => {
    if (seen.has(one.digest)) return;
    seen.add(one.digest);
    if (seen.size > MAX_DOCUMENTS) {
      throw new RangeError(
        `the image has more than ${MAX_DOCUMENTS} documents`,
      );
    }
    await pushTree(one, options);
    beside.push({ digest: one.digest, artifactType, of });
    waiting.push(one);
  };
  for (const document of waiting) {
    options.signal?.throwIfAborted();
    const { digest } = document;
    for (const { one, type } of await listedBeside(digest, options)) {
      await add(digest, type, one);
    }
    for (const { named, type } of await namedBy(document, options)) {
      if (seen.has(named)) continue;
      try {
        await add(digest, type, await options.resolve(named, options.signal));
      } catch (error) {
        if (!isMissing(error)) throw error;
        missing.push(named);
      }
    }
  }
  return { documents, beside, missing };
}

/** What names a document and is to be copied, with its type. */
async function listedBeside(
  digest: Digest,
  options: CopyOptions,
): Promise<{ one: Descriptor; type: string }[]> {
  const listed: { one: Descriptor; type: string }[] = [];
  let asked = 0;
  for (const one of await options.referrers(digest, options.signal)) {
    const said = one.artifactType ?? "";
    const isUnsaid = said === "" || isManifestMediaType(said);
    const type = isUnsaid && asked++ < MAX_ASKED
      ? await typeOf(one, options)
      : said;
    const isKnown = BESIDE.includes(type);
    if (isKnown || options.beside === "all") listed.push({ one, type });
  }
  // What is known goes first: of signatures there may be any number.
  const isKnown = ({ type }: { type: string }) => BESIDE.includes(type);
  return [
    ...listed.filter(isKnown),
    ...listed.filter((one) => !isKnown(one)),
  ].slice(0, MAX_REFERRERS);
}

/** Some lists do not say what a manifest is, or only that it is one: it says so itself. Empty where it does not. */
async function typeOf(
  one: Descriptor,
  { source, signal }: CopyOptions,
): Promise<string> {
  try {
    const bytes = await source.bytes(one, { signal });
    const { artifactType, config } = parseManifest(bytes, one.mediaType);
    return artifactType ?? config.mediaType;
  } catch (error) {
    if (isMissing(error) || error instanceof ManifestError) return "";
    throw error;
  }
}

/** The document and, if it is an index, its members that the source has. */
async function familyOf(
  root: Descriptor,
  { source, signal }: CopyOptions,
): Promise<Descriptor[]> {
  if (!isIndexMediaType(root.mediaType)) return [root];
  const bytes = await source.bytes(root, { signal });
  const members = parseIndex(bytes, root.mediaType).manifests
    .filter(({ mediaType }) => isManifestMediaType(mediaType));
  return [...members, root];
}

/** What a SOCI index names by digest alone. */
async function namedBy(
  document: Descriptor,
  { source, signal }: CopyOptions,
): Promise<{ named: Digest; type: string }[]> {
  if (!isManifestMediaType(document.mediaType)) return [];
  let annotations: Readonly<Record<string, string>>;
  try {
    const bytes = await source.bytes(document, { signal });
    annotations = parseManifest(bytes, document.mediaType).annotations ?? {};
  } catch (error) {
    if (isMissing(error)) return []; // a platform that the source only names
    throw error;
  }
  const companion = annotations[SOCI_ANNOTATION.companion];
  const index = annotations[SOCI_ANNOTATION.indexDigest];
  return [
    ...(isDigest(index) ? [{ named: index, type: SOCI_MEDIA.indexV2 }] : []),
    ...(isDigest(companion)
      ? [{ named: companion, type: SOCI_MEDIA.companion }]
      : []),
    ...decodePins(annotations[ORDER_ANNOTATION.pins])
      .map(({ digest }) => ({ named: digest, type: ORDER_MEDIA.artifact })),
  ];
}
