import {
  canonicalJson,
  type Descriptor,
  type Digest,
  MEDIA,
  parseIndex,
  parseManifest,
  readIndexEntries,
} from "../../formats/oci/mod.ts";
import { type Context, registryError } from "./context.ts";
import { originEndpoint } from "./endpoint.ts";
import { RegistryError } from "./errors.ts";
import {
  type FetchedManifest,
  fetchManifest,
  findManifest,
  putManifest,
} from "./manifests.ts";
import type { RegistryClientOptions } from "./options.ts";
import type { Reference } from "../../formats/reference/mod.ts";
import { parseReferrer } from "./referrer.ts";
import { saysNo } from "./status.ts";

type Place = Pick<Reference, "host" | "repository">;

const MAX_TAG_WRITES = 5;

/** The tag that lists a digest's referrers without the API (distribution specification 1.1). */
export function fallbackTag(digest: Digest): string {
  return digest.replace(":", "-");
}

/** What the fallback tag lists; empty if there is no such tag, or if it is something else. */
export async function taggedReferrers(
  context: Context,
  reference: Place,
  digest: Digest,
  signal?: AbortSignal,
): Promise<Descriptor[]> {
  const tag = fallbackTag(digest);
  let found: FetchedManifest;
  try {
    found = await fetchManifest(context, reference, tag, signal);
  } catch (error) {
    if (error instanceof RegistryError && isAbsence(error)) return [];
    throw error;
  }
  // The tag may be an image: somebody named it so, or the registry takes it for a digest.
  return [...readIndexEntries(found.bytes, parseReferrer)?.entries ?? []];
}

/** For a missing tag, some registries answer that it may not be read, or that it is malformed. */
function isAbsence({ kind, status = 0 }: RegistryError): boolean {
  return kind === "forbidden" || kind === "unauthorized" ||
    kind === "unsupported" || saysNo(status);
}

/**
 * Adds advice to an error of a registry that takes no artifacts or has immutable tags.
 * @param options.mayPush others were pushed there just now. So 403 is not about who sends it.
 */
export function asNoArtifacts(
  error: unknown,
  what: string,
  { mayPush = false }: { readonly mayPush?: boolean } = {},
): unknown {
  if (!(error instanceof RegistryError)) return error;
  const { host, repository, status = 0, detail } = error;
  const isAboutUs = status === 401 || (status === 403 && !mayPush);
  // Some fail over what they do not know; retries did not help.
  if (!(saysNo(status) || status === 500) || isAboutUs) return error;
  return new RegistryError({
    kind: "no-artifacts",
    host,
    repository,
    status,
    detail: `${what}: ${detail}`,
    cause: error,
  });
}

/** A referrer's descriptor for a list, with its artifact type and annotations. */
export function referrerItem(
  { bytes, mediaType }: { bytes: Uint8Array; mediaType: string },
  { digest, size }: Descriptor,
): Descriptor {
  const index = mediaType === MEDIA.ociIndex;
  const { artifactType, annotations } = index
    ? parseIndex(bytes, mediaType)
    : parseManifest(bytes, mediaType);
  const type = artifactType ??
    (index ? undefined : parseManifest(bytes, mediaType).config.mediaType);
  return {
    mediaType,
    digest,
    size,
    ...(annotations !== undefined && { annotations }),
    ...(type !== undefined && { artifactType: type }),
  };
}

/** A fallback tag's list as other writers left it. */
type TagList = Record<string, unknown> & { manifests?: unknown[] | null };

/**
 * Adds an entry to the fallback tag and keeps all others. Registries have no compare-and-swap, so
 * the result is read again: another writer may have overwritten it.
 */
export async function addToTag(
  context: Context,
  reference: Place,
  subject: Digest,
  item: Descriptor,
  signal: AbortSignal | undefined,
): Promise<void> {
  const tag = fallbackTag(subject);
  const direct = whereWritten(context);
  for (let write = 0; write < MAX_TAG_WRITES; write++) {
    const list = await readTag(direct, reference, subject, signal);
    if (list !== null && lists(list, item)) return;
    // Copied as they are: fields of other writers that we do not know must survive.
    const index = {
      schemaVersion: 2,
      ...list,
      mediaType: MEDIA.ociIndex,
      manifests: [...list?.manifests ?? [], item],
    };
    const bytes = new TextEncoder().encode(canonicalJson(index));
    await putManifest(context, reference, {
      bytes,
      mediaType: MEDIA.ociIndex,
    }, { tag, ...(signal !== undefined && { signal }) }).catch((error) => {
      throw asNoArtifacts(
        error,
        `tag ${tag}, which lists what belongs to the image, cannot be written`,
        { mayPush: true },
      );
    });
  }
  const list = await readTag(direct, reference, subject, signal);
  if (list === null || !lists(list, item)) {
    throw registryError(
      originEndpoint(reference, context.options),
      list === null ? "no-artifacts" : "unavailable",
      list === null
        ? `tag ${tag} does not keep what is written to it`
        : `other writers keep overwriting tag ${tag}`,
    );
  }
}

/** Takes an entry off the fallback tag's list and keeps all others; another writer may put it back. */
export async function removeFromTag(
  context: Context,
  reference: Place,
  subject: Digest,
  digest: Digest,
  signal: AbortSignal | undefined,
): Promise<void> {
  const direct = whereWritten(context);
  const list = await readTag(direct, reference, subject, signal);
  if (list === null || !lists(list, { digest })) return;
  const index = {
    ...list,
    manifests: list.manifests?.filter((item) =>
      (Object(item) as Partial<Descriptor>).digest !== digest
    ),
  };
  await putManifest(context, reference, {
    bytes: new TextEncoder().encode(canonicalJson(index)),
    mediaType: MEDIA.ociIndex,
  }, {
    tag: fallbackTag(subject),
    ...(signal !== undefined && { signal }),
  });
}

/**
 * Reads the list of a fallback tag; null if there is none yet.
 * @throws RegistryError, also if the tag is something else.
 */
async function readTag(
  context: Context,
  reference: Place,
  subject: Digest,
  signal: AbortSignal | undefined,
): Promise<TagList | null> {
  const tag = fallbackTag(subject);
  let found: FetchedManifest | null;
  try {
    found = await findManifest(context, reference, tag, signal);
  } catch (error) {
    if (!(error instanceof RegistryError) || !isAbsence(error)) throw error;
    // Artifactory answers so for a missing tag. But if we may read nothing here, the tag may exist:
    // then we would write it anew and lose what others put there.
    if (!await mayRead(context, reference, subject, signal)) throw error;
    return null;
  }
  // GitLab takes the tag for the digest it is made of and answers with the image itself.
  if (found === null || found.descriptor.digest === subject) return null;
  if (readIndexEntries(found.bytes) !== null) {
    return JSON.parse(new TextDecoder().decode(found.bytes));
  }
  throw registryError(
    originEndpoint(reference, context.options),
    "no-artifacts",
    `tag ${tag}, which lists what belongs to the image, is something else there`,
  );
}

/** Whether we may read the repository. Asks for the image; "not found" is a yes too. */
async function mayRead(
  context: Context,
  reference: Place,
  subject: Digest,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  try {
    await findManifest(context, reference, subject, signal);
    return true;
  } catch (error) {
    if (error instanceof RegistryError && isAbsence(error)) return false;
    throw error;
  }
}

/** A copy of the context without read-only mirrors: they may be out of date. */
export function whereWritten(context: Context): Context {
  return { ...context, options: writtenOnly(context.options) };
}

/** A copy of the options without read-only mirrors. */
function writtenOnly(options: RegistryClientOptions): RegistryClientOptions {
  const { hosts } = options;
  return {
    ...options,
    mirrors: () => [],
    ...(hosts !== undefined && {
      hosts: (host) => {
        const known = hosts(host);
        return known && {
          ...known,
          mirrors: known.mirrors.filter(({ capabilities }) =>
            capabilities?.includes("push")
          ),
        };
      },
    }),
  };
}

function lists(
  { manifests }: TagList,
  { digest }: Pick<Descriptor, "digest">,
): boolean {
  return manifests?.some((item) =>
    (Object(item) as Partial<Descriptor>).digest === digest
  ) ?? false;
}
