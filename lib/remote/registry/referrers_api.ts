import {
  type Descriptor,
  type Digest,
  MAX_DESCRIPTORS,
  MAX_MANIFEST_BYTES,
  MEDIA,
  readIndexEntries,
} from "../../formats/oci/mod.ts";
import { logger, redactUrl } from "../../telemetry/mod.ts";
import { givenAddress } from "../network/mod.ts";
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
import type { Reference } from "../../formats/reference/mod.ts";
import { parseReferrer } from "./referrer.ts";
import { retrying, type RetryPolicy } from "./retry.ts";
import { saysNo } from "./status.ts";

const log = logger("registry");
const MAX_PAGES = 100;
/** How long we wait for the API in all, ms. A registry that has not answered by then has none. */
const API_PATIENCE_MS = 30_000;

/** The outcome of a request to the referrers API. */
export type ApiAnswer =
  | { readonly kind: "listed"; readonly items: readonly Descriptor[] }
  /** There is no such API, or we may not use it. */
  | { readonly kind: "absent" }
  | { readonly kind: "failed"; readonly error: unknown };

/** A question to a referrers API. */
export interface ApiQuestion {
  readonly digest: Digest;
  /** Default: any. */
  readonly artifactType: string | undefined;
  /** Types that the same answer is to list too: so it is asked for without a filter. */
  readonly beside: readonly string[];
  /** Called if there are none of the type, before all others are asked for. */
  readonly onNoneOfType: () => void;
}

/**
 * Asks the referrers API of a registry and its mirrors. Never throws. The list may hold entries of
 * other types.
 */
export async function askApi(
  context: Context,
  reference: Pick<Reference, "host" | "repository">,
  question: ApiQuestion,
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
        const list = () => new ApiList(context, endpoint, policy, either);
        const found = await readList(list, question);
        answered = true;
        if (found.length > 0) return found;
        // A proxy may not know what its origin lists.
        throw registryError(endpoint, "not-found", "there are no referrers");
      },
      "referrers",
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

/** Statuses of APIs that refuse any filter. */
const FILTER_REFUSED = new Set([400, 422]);

/**
 * Asks for the entries of a type, and for all if that gives none: some filters see only a manifest's
 * own field, not its config's type.
 */
async function readList(
  list: () => ApiList,
  question: ApiQuestion,
): Promise<Descriptor[]> {
  const { digest, artifactType, beside, onNoneOfType } = question;
  if (artifactType !== undefined && beside.length > 0) {
    return await readTypes(list, digest, [artifactType, ...beside]);
  }
  const first = list();
  let refusal: RegistryError | null = null;
  const found = await first.read(digest, artifactType).catch((error) => {
    const refused = artifactType !== undefined &&
      error instanceof RegistryError && FILTER_REFUSED.has(error.status ?? 0);
    if (!refused) throw error;
    refusal = error;
    return [];
  });
  if (found.length > 0 || (refusal === null && !first.isFiltered)) return found;
  onNoneOfType();
  return await list().read(digest, undefined).catch((error) => {
    if (refusal === null && error instanceof RegistryError) return found;
    throw error;
  });
}

/**
 * Asks for all entries at once. If they take several pages, which come one after another, entries of each
 * type are asked for side by side: an image may have thousands of signatures.
 * @param types the first is the one that matters: without any of it, all pages are read.
 */
async function readTypes(
  list: () => ApiList,
  digest: Digest,
  types: readonly string[],
): Promise<Descriptor[]> {
  const whole = list();
  const next = await whole.begin(digest, undefined);
  if (next === null) return whole.found;
  const byType = await Promise.all(types.map(async (type) => {
    try {
      const some = list();
      const more = await some.begin(digest, type);
      return some.isFiltered ? await some.readOn(more) : [];
    } catch (error) {
      if (error instanceof RegistryError) return []; // it takes no filter
      throw error;
    }
  }));
  if (byType[0]!.length > 0) return byType.flat();
  return await whole.readOn(next);
}

/** One query to one referrers API. */
class ApiList {
  /** Whether the API left out entries of other types. */
  isFiltered = false;
  /** What has come. */
  readonly found: Descriptor[] = [];
  readonly #seen = new Set<string>();
  #bytes = 0;

  constructor(
    private readonly context: Context,
    private readonly endpoint: Endpoint,
    private readonly policy: RetryPolicy,
    private readonly signal: AbortSignal,
  ) {}

  /** Reads all pages, as {@link begin} and {@link readOn} do. */
  async read(
    digest: Digest,
    artifactType: string | undefined,
  ): Promise<Descriptor[]> {
    return await this.readOn(await this.begin(digest, artifactType));
  }

  /**
   * Reads the first page.
   * @returns the next page's address, or null.
   * @throws RegistryError; `not-found` if there is no such API.
   */
  begin(digest: Digest, artifactType: string | undefined): Promise<URL | null> {
    return this.#next(endpointUrl(
      this.endpoint,
      `referrers/${digest}`,
      artifactType === undefined ? {} : { artifactType },
    ));
  }

  /**
   * Reads this page and those behind it.
   * @returns all that has come.
   * @throws RegistryError if nothing has.
   */
  async readOn(from: URL | null): Promise<Descriptor[]> {
    let url = from;
    while (url !== null && !this.#seen.has(url.href)) {
      url = await this.#next(url);
    }
    return this.found;
  }

  /** Reads a page. If it fails, the earlier ones still count. @returns the next page's address, or null. */
  async #next(url: URL): Promise<URL | null> {
    try {
      return await this.#page(url);
    } catch (error) {
      this.signal.throwIfAborted();
      if (this.found.length === 0) throw error;
      log.warn("later pages of referrers cannot be read", {
        host: this.endpoint.host,
        repository: this.endpoint.repository,
        error: String(error),
      });
      return null;
    }
  }

  /** Reads a page. @returns the next page's address, or null. */
  async #page(url: URL): Promise<URL | null> {
    const { context, endpoint, policy, signal } = this;
    if (
      this.#seen.size === MAX_PAGES ||
      this.found.length > MAX_DESCRIPTORS || this.#bytes > MAX_MANIFEST_BYTES
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
      this.isFiltered ||= answer.header("oci-filters-applied") !== null;
      return { bytes, next: link === null ? null : { link, from: answer.url } };
    }).catch((error) => {
      if (!isLack(error)) throw error;
      const { host, repository, status } = error;
      throw new RegistryError({
        kind: "not-found",
        host,
        repository,
        detail: "it has no referrers API",
        ...(status !== undefined && { status }),
      });
    });
    this.#bytes += bytes.length;
    // The content type is ignored: some proxies serve an index as plain JSON. Some registries
    // answer unknown addresses with a page of their own and status 200.
    const list = readIndexEntries(bytes, parseReferrer);
    if (list === null) {
      throw registryError(endpoint, "not-found", "it lists no referrers");
    }
    if (list.passedOver > 0) {
      log.debug("referrers are passed over", { count: list.passedOver });
    }
    this.found.push(...list.entries);
    return next === null ? null : this.#follow(next.link, next.from, url);
  }

  /**
   * Does not follow a link to another host: the list and our credentials belong to this registry. A
   * registry behind a proxy may give its own inner address. If the path ends as this page's does,
   * the query is asked of the address we know.
   */
  #follow(link: string, from: URL, page: URL): URL {
    const { endpoint } = this;
    let next = givenAddress(link, from);
    const { origin, pathname } = endpoint.root;
    const isOurs = next?.origin === origin &&
      next.pathname.startsWith(pathname);
    if (next !== null && !isOurs && listedDigest(next) === listedDigest(page)) {
      const { search } = next;
      next = new URL(page);
      next.search = search;
    }
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

/** What a page's address says it lists the referrers of; its whole path for another address. */
function listedDigest({ pathname }: URL): string {
  return /\/referrers\/([^/]+)$/.exec(pathname)?.[1]?.replace(/%3a/i, ":") ??
    pathname;
}

/** Whether an error means that there is no referrers API, or that we may not use it. */
function isLack(error: unknown): error is RegistryError {
  if (!(error instanceof RegistryError)) return false;
  const { kind, status = 0 } = error;
  return kind === "unauthorized" || kind === "protocol" || saysNo(status);
}
