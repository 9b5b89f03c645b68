import {
  canonicalJson,
  type Descriptor,
  type Digest,
  MAX_DESCRIPTORS,
  MAX_MANIFEST_BYTES,
  MEDIA,
  parseIndex,
  parseManifest,
} from "../../formats/oci/mod.ts";
import { discard } from "./body.ts";
import {
  type Context,
  pullScopes,
  reading,
  registryError,
  wholeBody,
} from "./context.ts";
import { type Endpoint, endpointUrl } from "./endpoint.ts";
import {
  type FetchedManifest,
  findManifest,
  mediaTypeOf,
  type PushedManifest,
  putManifest,
} from "./manifests.ts";
import type { RegistryClientOptions } from "./options.ts";
import type { Reference } from "./reference.ts";
import { retrying, type RetryPolicy } from "./retry.ts";

type Place = Pick<Reference, "host" | "repository">;

const MAX_PAGES = 100;
const MAX_TAG_WRITES = 5;

/** The tag that lists referrers where there is no API (distribution specification 1.1). */
export function fallbackTag(digest: Digest): string {
  return digest.replace(":", "-");
}

/** The manifests that name `digest` as their subject, by the API or the fallback tag. */
export async function listReferrers(
  context: Context,
  reference: Place,
  digest: Digest,
  artifactType: string | undefined,
  signal?: AbortSignal,
): Promise<Descriptor[]> {
  const { withoutReferrersApi } = context;
  // A host that had no API may have got one meanwhile, so it is asked too, but not waited for.
  const tagged = withoutReferrersApi.has(reference.host)
    ? fromTag(context, reference, digest, signal)
    : null;
  tagged?.catch(() => {}); // told below when it is needed
  const offered = await reading(
    context,
    reference,
    (endpoint, policy) =>
      fromApi(context, endpoint, policy, digest, artifactType, signal),
  );
  if (offered === null) withoutReferrersApi.add(reference.host);
  else withoutReferrersApi.delete(reference.host);
  const listed = offered ??
    await (tagged ?? fromTag(context, reference, digest, signal));
  // The API's own filter is optional, so it is never trusted to have worked.
  return listed.filter((item) =>
    artifactType === undefined || item.artifactType === artifactType
  );
}

/** Null where the registry has no such API. */
async function fromApi(
  context: Context,
  endpoint: Endpoint,
  policy: RetryPolicy,
  digest: Digest,
  artifactType: string | undefined,
  signal: AbortSignal | undefined,
): Promise<Descriptor[] | null> {
  const found: Descriptor[] = [];
  let url: URL | null = endpointUrl(
    endpoint,
    `referrers/${digest}`,
    artifactType === undefined ? {} : { artifactType },
  );
  for (let page = 0; url !== null; page++) {
    if (page === MAX_PAGES || found.length > MAX_DESCRIPTORS) {
      throw registryError(endpoint, "too-large", "the referrers do not end");
    }
    const here: URL = url;
    const next = await retrying(policy, signal, async () => {
      const answer = await context.transport.exchange(endpoint, {
        method: "GET",
        url: here,
        headers: { accept: MEDIA.ociIndex },
        scopes: pullScopes(endpoint),
        accept: page === 0 ? [200, 400, 404, 405, 501] : [200],
        doing: "listing referrers",
        signal,
      });
      const isIndex =
        mediaTypeOf(answer.header("content-type")) === MEDIA.ociIndex;
      // Some registries answer unknown addresses with a page of their own and status 200.
      if (answer.status !== 200 || !isIndex) {
        await discard(answer);
        return { items: null, link: null };
      }
      const bytes = await wholeBody(
        endpoint,
        answer,
        MAX_MANIFEST_BYTES,
        signal,
      );
      return {
        items: indexItems(endpoint, bytes),
        link: nextPage(endpoint, here, answer.header("link")),
      };
    });
    if (next.items === null) {
      if (page === 0) return null;
      throw registryError(endpoint, "protocol", "a page of referrers is none");
    }
    found.push(...next.items);
    url = next.link;
  }
  return found;
}

async function fromTag(
  context: Context,
  reference: Place,
  digest: Digest,
  signal: AbortSignal | undefined,
): Promise<Descriptor[]> {
  const tag = fallbackTag(digest);
  const found = await findManifest(context, reference, tag, signal);
  if (found === null) return [];
  // The tag may as well be an image's that somebody named so.
  if (found.descriptor.mediaType !== MEDIA.ociIndex) return [];
  return [...parseIndex(found.bytes).manifests];
}

function indexItems(endpoint: Endpoint, bytes: Uint8Array): Descriptor[] {
  try {
    return [...parseIndex(bytes).manifests];
  } catch (error) {
    const why = error instanceof Error ? error.message : "";
    throw registryError(endpoint, "protocol", `listing referrers: ${why}`);
  }
}

/** Reads `Link: <…>; rel="next"`; another host is not followed with our credentials. */
function nextPage(
  endpoint: Endpoint,
  here: URL,
  header: string | null,
): URL | null {
  const link = /<([^<>]{1,4096})>\s*;[^,]*\brel="?next"?/i.exec(header ?? "");
  if (link === null) return null;
  const next = URL.parse(link[1]!, here);
  if (next === null || next.origin !== here.origin) {
    throw registryError(endpoint, "protocol", "the next page is elsewhere");
  }
  return next;
}

/** Pushes a manifest with a subject, so that {@link listReferrers} finds it at any registry. */
export async function putReferrer(
  context: Context,
  reference: Place,
  manifest: { readonly bytes: Uint8Array; readonly mediaType: string },
  subject: Descriptor,
  signal?: AbortSignal,
): Promise<PushedManifest> {
  const options = signal === undefined ? {} : { signal };
  const pushed = await putManifest(context, reference, manifest, options);
  if (!pushed.subjectNoted) {
    const item = referrerItem(manifest, pushed.descriptor);
    await addToTag(context, reference, subject.digest, item, signal);
  }
  return pushed;
}

/** A referrer as lists show it: with its artifact type and annotations. */
function referrerItem(
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

/**
 * Adds an entry to the fallback tag, keeping all others as they are. Registries have no
 * compare-and-swap, so what was written is read again: another writer may have come between.
 */
async function addToTag(
  context: Context,
  reference: Place,
  subject: Digest,
  item: Descriptor,
  signal: AbortSignal | undefined,
): Promise<void> {
  const tag = fallbackTag(subject);
  // Read from where it is written to: another place may be behind.
  const direct = { ...context, options: writtenOnly(context.options) };
  for (let write = 0; write < MAX_TAG_WRITES; write++) {
    const found = await findManifest(direct, reference, tag, signal);
    if (found !== null && lists(found, item)) return;
    // Taken as they stand: other writers' fields that are not known here must live on.
    const index = found === null
      ? { schemaVersion: 2, mediaType: MEDIA.ociIndex, manifests: [] }
      : JSON.parse(new TextDecoder().decode(found.bytes));
    index.manifests = [...index.manifests ?? [], item];
    const bytes = new TextEncoder().encode(canonicalJson(index));
    const options = { tag, ...(signal !== undefined && { signal }) };
    const list = { bytes, mediaType: MEDIA.ociIndex };
    await putManifest(context, reference, list, options);
  }
  const found = await findManifest(direct, reference, tag, signal);
  if (found === null || !lists(found, item)) {
    const { host, repository } = reference;
    throw registryError(
      { host, repository, root: new URL("http://unused/"), query: {} },
      "unavailable",
      `other writers keep overwriting tag ${tag}`,
    );
  }
}

/** The options without places that are only read from. */
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

function lists({ bytes }: FetchedManifest, { digest }: Descriptor): boolean {
  return parseIndex(bytes).manifests.some((item) => item.digest === digest);
}
