import {
  type Descriptor,
  type Digest,
  isManifestMediaType,
  MEDIA,
  parseManifest,
} from "../../formats/oci/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import type { Context } from "./context.ts";
import { RegistryError } from "./errors.ts";
import { fetchManifest } from "./manifests.ts";
import type { Reference } from "../../formats/reference/mod.ts";
import { type ApiAnswer, askApi } from "./referrers_api.ts";
import { taggedReferrers } from "./referrers_tag.ts";
import { sleep } from "./retry.ts";

type Place = Pick<Reference, "host" | "repository">;

const log = logger("registry");
/**
 * The most entries whose manifest is fetched to learn their type, because the list does not say:
 * at a time, and in all.
 */
const ASKED_AT_ONCE = 16;
const MAX_ASKED = 64;
/** How long we wait for the API before we ask for the fallback tag too, ms. */
const TAG_PATIENCE_MS = 2_000;

/** Which of a manifest's referrers are wanted. */
interface WantedReferrers {
  /** Artifacts of this type; default: all. */
  readonly artifactType?: string | undefined;
  /** Those of these types too, behind the others, as far as the same answer lists them. */
  readonly beside?: readonly string[] | undefined;
}

/**
 * Lists the manifests whose subject is `digest`.
 *
 * The API and the fallback tag are two ways to the same list. A registry has one of them, or both,
 * and one of the two may not work. Whichever lists something is believed. It is an error only if
 * neither does and the API failed, because it may have something then.
 */
export async function listReferrers(
  context: Context,
  reference: Place,
  digest: Digest,
  wanted: WantedReferrers,
  signal?: AbortSignal,
): Promise<Descriptor[]> {
  const { withoutReferrersApi } = context;
  const { artifactType, beside = [] } = wanted;
  const enough = new AbortController();
  const either = signal === undefined
    ? enough.signal
    : AbortSignal.any([signal, enough.signal]);
  const matching = (items: readonly Descriptor[]) =>
    ofTypes(context, reference, items, wanted, signal);
  const isFound = (items: readonly Descriptor[]) =>
    artifactType === undefined
      ? items.length > 0
      : items.some((item) => item.artifactType === artifactType);
  let asked: Promise<Descriptor[]> | null = null;
  const tagged = () => {
    asked ??= taggedReferrers(context, reference, digest, signal)
      .then(matching);
    asked.catch(() => {}); // reported where it is awaited
    return asked;
  };
  // The host may have got the API since. So ask it too, but do not wait for it.
  if (withoutReferrersApi.has(reference.host)) tagged();
  const api = askApi(
    context,
    reference,
    { digest, artifactType, beside, onNoneOfType: tagged },
    either,
  );
  const early = sleep(TAG_PATIENCE_MS, either).then(tagged).then(
    (found) => isFound(found) ? found : null,
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
    if (isFound(listed)) return listed;
    const inTag = await byTag(tagged, answer, isFound);
    return [...inTag, ...listed];
  } finally {
    enough.abort(new DOMException("the list is known", "AbortError"));
  }
}

async function byTag(
  tagged: () => Promise<Descriptor[]>,
  api: ApiAnswer,
  isFound: (items: readonly Descriptor[]) => boolean,
): Promise<Descriptor[]> {
  let found: Descriptor[] = [];
  try {
    found = await tagged();
  } catch (error) {
    if (!(error instanceof RegistryError) || api.kind === "absent") throw error;
  }
  if (!isFound(found) && api.kind === "failed") throw api.error;
  return found;
}

/** Filters a list by artifact type. The API's own filter is optional, so it is not relied on. */
async function ofTypes(
  context: Context,
  reference: Place,
  items: readonly Descriptor[],
  { artifactType, beside = [] }: WantedReferrers,
  signal: AbortSignal | undefined,
): Promise<Descriptor[]> {
  if (artifactType === undefined) return [...items];
  const told = [...items];
  const found = () => told.filter((item) => item.artifactType === artifactType);
  // Some lists give the type of manifests in general.
  const unsaid = items.filter((item) =>
    item.mediaType !== MEDIA.ociIndex &&
    (item.artifactType === undefined || isManifestMediaType(item.artifactType))
  ).slice(0, MAX_ASKED);
  for (
    let at = 0;
    at < unsaid.length && found().length === 0;
    at += ASKED_AT_ONCE
  ) {
    const some = unsaid.slice(at, at + ASKED_AT_ONCE);
    const asked = await Promise.all(some.map(async (item) => {
      const type = await typeOf(context, reference, item, signal);
      return type === null ? [] : [{ ...item, artifactType: type }];
    }));
    told.push(...asked.flat());
  }
  const others = told.filter((item) =>
    beside.includes(item.artifactType ?? "")
  );
  return [...found(), ...others];
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
