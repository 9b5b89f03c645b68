import {
  type Descriptor,
  type Digest,
  MAX_DESCRIPTORS,
  MAX_MANIFEST_BYTES,
  MEDIA,
  parseManifest,
  readIndexEntries,
} from "../../formats/oci/mod.ts";
import { logger, redactUrl } from "../../telemetry/mod.ts";
import { givenAddress } from "./addresses.ts";
import {
  type Context,
  pullScopes,
  reading,
  registryError,
  wholeBody,
} from "./context.ts";
import { type Endpoint, endpointUrl, originEndpoint } from "./endpoint.ts";
import { RegistryError } from "./errors.ts";
import { nextLink } from "./link.ts";
import { fetchManifest } from "./manifests.ts";
import type { Reference } from "./reference.ts";
import { taggedReferrers } from "./referrers_tag.ts";
import { retrying, type RetryPolicy, sleep } from "./retry.ts";

type Place = Pick<Reference, "host" | "repository">;

const log = logger("registry");
const MAX_PAGES = 100;
/**
 * The most entries whose manifest is fetched to learn their type, because the list does not say.
 */
const MAX_ASKED = 16;
/** How long we wait for the API before we ask for the fallback tag too, ms. */
const TAG_PATIENCE_MS = 2_000;

/** How long we wait for the API in all, ms. A registry that has not answered by then has none. */
const API_PATIENCE_MS = 30_000;

/** The outcome of a request to the referrers API. */
type ApiAnswer =
  | { readonly kind: "listed"; readonly items: readonly Descriptor[] }
  /** There is no such API, or we may not use it. */
  | { readonly kind: "absent" }
  | { readonly kind: "failed"; readonly error: unknown };

/**
 * Lists the manifests whose subject is `digest`, optionally of one artifact type only.
 *
 * The API and the fallback tag are two ways to the same list. A registry has one of them, or both,
 * and one of the two may not work. Whichever lists something is believed. It is an error only if
 * neither does and the API failed, because it may have something then.
 */
export async function listReferrers(
  context: Context,
  reference: Place,
  digest: Digest,
  artifactType: string | undefined,
  signal?: AbortSignal,
): Promise<Descriptor[]> {
  const { withoutReferrersApi } = context;
  const enough = new AbortController();
  const either = signal === undefined
    ? enough.signal
    : AbortSignal.any([signal, enough.signal]);
  const matching = (items: readonly Descriptor[]) =>
    ofType(context, reference, items, artifactType, signal);
  let asked: Promise<Descriptor[]> | null = null;
  const tagged = () => {
    asked ??= taggedReferrers(context, reference, digest, signal)
      .then(matching);
    asked.catch(() => {}); // reported where it is awaited
    return asked;
  };
  // The host may have got the API since. So ask it too, but do not wait for it.
  if (withoutReferrersApi.has(reference.host)) tagged();
  const api = askApi(context, reference, digest, artifactType, either);
  const early = sleep(TAG_PATIENCE_MS, either).then(tagged).then(
    (found) => found.length > 0 ? found : null,
    () => null, // checked below, if the API has nothing
  );
  try {
    const first = await Promise.race([
      api,
      early.then((found) => found ?? new Promise<never>(() => {})),
    ]);
    signal?.throwIfAborted();
    if (Array.isArray(first)) return first;
    const answer = first as ApiAnswer;
    if (answer.kind === "listed") withoutReferrersApi.delete(reference.host);
    else withoutReferrersApi.add(reference.host);
    const listed = answer.kind === "listed" ? await matching(answer.items) : [];
    if (listed.length > 0) return listed;
    return await byTag(tagged, answer);
  } finally {
    enough.abort(new DOMException("the list is known", "AbortError"));
  }
}

async function byTag(
  tagged: () => Promise<Descriptor[]>,
  api: ApiAnswer,
): Promise<Descriptor[]> {
  let found: Descriptor[] = [];
  try {
    found = await tagged();
  } catch (error) {
    if (!(error instanceof RegistryError) || api.kind === "absent") throw error;
  }
  if (found.length === 0 && api.kind === "failed") throw api.error;
  return found;
}

async function askApi(
  context: Context,
  reference: Place,
  digest: Digest,
  artifactType: string | undefined,
  signal: AbortSignal,
): Promise<ApiAnswer> {
  let answered = false;
  const late = AbortSignal.timeout(API_PATIENCE_MS);
  const either = AbortSignal.any([signal, late]);
  try {
    const items = await reading(
      context,
      reference,
      async (endpoint, policy) => {
        const list = new ApiList(context, endpoint, policy, either);
        const found = await list.read(digest, artifactType);
        answered = true;
        if (found.length > 0) return found;
        // A proxy may not know what its origin lists.
        throw registryError(endpoint, "not-found", "there are no referrers");
      },
    );
    return { kind: "listed", items };
  } catch (cause) {
    const error = late.aborted && !signal.aborted
      ? registryError(
        originEndpoint(reference, context.options),
        "unavailable",
        `listing referrers: no answer within ${API_PATIENCE_MS} ms`,
      )
      : cause;
    if (!(error instanceof RegistryError)) return { kind: "failed", error };
    if (error.kind !== "not-found") return { kind: "failed", error };
    return answered ? { kind: "listed", items: [] } : { kind: "absent" };
  }
}

/** One query to one referrers API. */
class ApiList {
  readonly #found: Descriptor[] = [];
  readonly #seen = new Set<string>();
  #bytes = 0;

  constructor(
    private readonly context: Context,
    private readonly endpoint: Endpoint,
    private readonly policy: RetryPolicy,
    private readonly signal: AbortSignal,
  ) {}

  /**
   * Reads all pages. If a later page fails, the earlier ones still count.
   * @throws RegistryError; `not-found` if there is no such API.
   */
  async read(
    digest: Digest,
    artifactType: string | undefined,
  ): Promise<Descriptor[]> {
    let url: URL | null = endpointUrl(
      this.endpoint,
      `referrers/${digest}`,
      artifactType === undefined ? {} : { artifactType },
    );
    while (url !== null) {
      try {
        url = await this.#page(url);
      } catch (error) {
        this.signal.throwIfAborted();
        if (this.#found.length === 0) throw error;
        log.warn("later pages of referrers cannot be read", {
          host: this.endpoint.host,
          repository: this.endpoint.repository,
          error: String(error),
        });
        break;
      }
    }
    return this.#found;
  }

  /** Reads a page. @returns the next page's address, or null. */
  async #page(url: URL): Promise<URL | null> {
    const { context, endpoint, policy, signal } = this;
    if (
      this.#seen.has(url.href) || this.#seen.size === MAX_PAGES ||
      this.#found.length > MAX_DESCRIPTORS || this.#bytes > MAX_MANIFEST_BYTES
    ) throw registryError(endpoint, "too-large", "the referrers do not end");
    this.#seen.add(url.href);
    const { bytes, next } = await retrying(policy, signal, async () => {
      const answer = await context.transport.exchange(endpoint, {
        method: "GET",
        url,
        headers: { accept: `${MEDIA.ociIndex}, application/json;q=0.5` },
        scopes: pullScopes(endpoint),
        accept: [200],
        doing: "listing referrers",
        signal,
      });
      const bytes = await wholeBody(
        endpoint,
        answer,
        MAX_MANIFEST_BYTES,
        signal,
      );
      const link = nextLink(answer.header("link"));
      return { bytes, next: link === null ? null : { link, from: answer.url } };
    }).catch((error) => {
      throw isLack(error)
        ? registryError(endpoint, "not-found", "it has no referrers API")
        : error;
    });
    this.#bytes += bytes.length;
    // The content type is ignored: some proxies serve an index as plain JSON. Some registries
    // answer unknown addresses with a page of their own and status 200.
    const list = readIndexEntries(bytes);
    if (list === null) {
      throw registryError(endpoint, "not-found", "it lists no referrers");
    }
    if (list.passedOver > 0) {
      log.debug("referrers are passed over", { count: list.passedOver });
    }
    this.#found.push(...list.entries);
    return next === null ? null : this.#follow(next.link, next.from);
  }

  /**
   * Does not follow a link to another host: the list and our credentials belong to this registry.
   */
  #follow(link: string, from: URL): URL {
    const { endpoint } = this;
    const next = givenAddress(link, from);
    const { origin } = endpoint.root;
    if (next === null || next.origin !== origin) {
      const where = next === null ? "nowhere" : redactUrl(next);
      throw registryError(
        endpoint,
        "protocol",
        `the next page is elsewhere, ${where}`,
      );
    }
    for (const [key, value] of Object.entries(endpoint.query)) {
      if (!next.searchParams.has(key)) next.searchParams.set(key, value);
    }
    return next;
  }
}

/** Statuses below 500 that may pass. */
const PASSING = new Set([408, 425, 429]);

/** Whether an error means that there is no referrers API, or that we may not use it. */
function isLack(error: unknown): boolean {
  if (!(error instanceof RegistryError)) return false;
  const { kind, status = 0 } = error;
  return kind === "unauthorized" || status === 501 ||
    (status >= 400 && status < 500 && !PASSING.has(status));
}

/** Filters a list by artifact type. The API's own filter is optional, so it is not relied on. */
async function ofType(
  context: Context,
  reference: Place,
  items: readonly Descriptor[],
  artifactType: string | undefined,
  signal: AbortSignal | undefined,
): Promise<Descriptor[]> {
  if (artifactType === undefined) return [...items];
  const known = items.filter((item) => item.artifactType === artifactType);
  const unsaid = items.filter((item) =>
    item.artifactType === undefined && item.mediaType !== MEDIA.ociIndex
  ).slice(0, MAX_ASKED);
  const asked = await Promise.all(unsaid.map(async (item) => {
    const type = await typeOf(context, reference, item, signal);
    return type === artifactType ? { ...item, artifactType } : null;
  }));
  return [...known, ...asked.filter((item) => item !== null)];
}

/** A manifest's artifact type, else its config's media type. */
async function typeOf(
  context: Context,
  reference: Place,
  { digest }: Descriptor,
  signal: AbortSignal | undefined,
): Promise<string | null> {
  try {
    const { bytes } = await fetchManifest(context, reference, digest, signal);
    const { artifactType, config } = parseManifest(bytes);
    return artifactType ?? config.mediaType;
  } catch (error) {
    signal?.throwIfAborted();
    log.debug("referrer cannot be read", { digest, error: String(error) });
    return null;
  }
}
