import type { Digest } from "../../formats/oci/mod.ts";
import { type Answer, BodyTooLarge } from "./body.ts";
import { type Endpoint, readEndpoints, writeEndpoint } from "./endpoint.ts";
import { RegistryError, type RegistryErrorKind } from "./errors.ts";
import { connectionFailure } from "./http.ts";
import type { Capability, RegistryClientOptions } from "./options.ts";
import { RecentSet } from "./memory.ts";
import type { Reference } from "../../formats/reference/mod.ts";
import { retrying, type RetryPolicy, retryPolicy } from "./retry.ts";
import { Transport } from "./transport.ts";

/** What the client's operations share. */
export interface Context {
  readonly options: RegistryClientOptions;
  readonly policy: RetryPolicy;
  /** In place of `policy` for ranges of blobs. */
  readonly rangePolicy: RetryPolicy;
  readonly transport: Transport;
  /** Places that did not answer and are not asked for a while, by root URL. */
  readonly resting: RecentSet;
  /** Mirrors that gave a blob other bytes than it has, by root URL. */
  readonly lying: RecentSet;
  /** Hosts seen to have no referrers API: for them the fallback tag is asked at once. */
  readonly withoutReferrersApi: RecentSet;
  /** Places (a host's repository) seen to give no ranges, by root URL. */
  readonly withoutRanges: RecentSet;
  /** Places that gave a range lately: a server error there is not about ranges. */
  readonly withRanges: RecentSet;
  /** Blobs of which a place refused a range; see `noteWhole`. */
  readonly refusedRange: RecentSet;
}

/** How long a place that did not answer is not asked. */
const REST_MS = 30_000;
/** How long a mirror that gave other bytes is not asked: longer than the largest layer takes. */
const LIE_MS = 60 * 60_000;
/** How long a host is believed to lack an API that it lacked. */
const LACK_MS = 10 * 60_000;
/**
 * How long a place is believed to give no ranges: at first, and at most. The first is short,
 * because a pull-through cache may be filling.
 */
const RANGES_MS = 60_000;
const MAX_RANGES_MS = 3600_000;
/** The most hosts and repositories remembered. */
const MAX_REMEMBERED = 1024;
/** Statuses of mirrors that fail altogether, or on ranges alone. */
const FAILING = new Set([500, 502]);
/** A mirror is a convenience: it gets fewer retries than the registry itself. */
const MIRROR_RETRIES = 1;

/** Makes a context that shares nothing with others. */
export function makeContext(options: RegistryClientOptions): Context {
  return {
    options,
    // Read with each operation: a configuration may be reloaded.
    get policy() {
      return retryPolicy(options.retry);
    },
    get rangePolicy() {
      return retryPolicy(options.rangeRetry ?? options.retry);
    },
    transport: new Transport(options),
    resting: remembered(REST_MS),
    lying: remembered(LIE_MS),
    withoutReferrersApi: remembered(LACK_MS),
    withoutRanges: remembered(RANGES_MS, MAX_RANGES_MS),
    withRanges: remembered(LACK_MS),
    refusedRange: remembered(LACK_MS),
  };
}

function remembered(keptMs: number, maxKeptMs = keptMs): RecentSet {
  return new RecentSet({ maxEntries: MAX_REMEMBERED, keptMs, maxKeptMs });
}

/** Makes an error about one place. */
export function registryError(
  { host, repository }: Endpoint,
  kind: RegistryErrorKind,
  detail: string,
): RegistryError {
  return new RegistryError({ kind, host, repository, detail });
}

/**
 * Reads from the first place that answers: mirrors first, then the registry itself.
 * @throws RegistryError of the registry itself; of kind `range` if a mirror has the blob but gives
 * no ranges.
 */
export async function reading<T>(
  context: Context,
  reference: Pick<Reference, "host" | "repository">,
  read: (endpoint: Endpoint, policy: RetryPolicy) => Promise<T>,
  capability: Capability = "pull",
): Promise<T> {
  const endpoints = readEndpoints(reference, context.options, capability);
  const origin = endpoints.pop()!;
  const policy = {
    ...context.policy,
    retries: Math.min(MIRROR_RETRIES, context.policy.retries),
  };
  let withoutRanges: RegistryError | null = null;
  const failing: string[] = [];
  for (const mirror of endpoints) {
    const { href } = mirror.root;
    if (context.resting.has(href) || context.lying.has(href)) continue;
    try {
      return await read(mirror, policy);
    } catch (error) {
      // Whatever is wrong with a mirror, the registry itself may still work.
      if (!(error instanceof RegistryError)) throw error;
      if (error.kind !== "range") {
        if (error.kind !== "not-found") context.resting.add(href);
        continue;
      }
      withoutRanges ??= error;
      if (FAILING.has(error.status ?? 0)) failing.push(href);
    }
  }
  if (withoutRanges === null) return await read(origin, context.policy);
  // If the registry cannot be reached, the caller can still take the whole blob from the mirror.
  if (context.resting.has(origin.root.href)) throw withoutRanges;
  try {
    const found = await read(origin, policy);
    for (const href of failing) context.resting.add(href);
    return found;
  } catch (error) {
    if (!(error instanceof RegistryError)) throw error;
    if (error.kind === "unavailable") context.resting.add(origin.root.href);
    throw withoutRanges;
  }
}

/** Whether a repository has a mirror that is asked: what is read may be of it. */
export function asksMirrors(
  context: Context,
  reference: Pick<Reference, "host" | "repository">,
): boolean {
  return mirrorsOf(context, reference).length > 0;
}

/** Mirrors of a repository are not asked for a while: of what came by several it is not known which one lied. */
export function passMirrors(
  context: Context,
  reference: Pick<Reference, "host" | "repository">,
): void {
  for (const href of mirrorsOf(context, reference)) context.lying.add(href);
}

/** Those that are asked, by root URL. */
function mirrorsOf(
  { options, lying }: Context,
  reference: Pick<Reference, "host" | "repository">,
): string[] {
  return readEndpoints(reference, options).slice(0, -1)
    .map(({ root }) => root.href).filter((href) => !lying.has(href));
}

/**
 * Runs a write, with retries, at the registry itself or at the mirror configured to take pushes.
 */
export function writing<T>(
  context: Context,
  reference: Pick<Reference, "host" | "repository">,
  signal: AbortSignal | undefined,
  write: (endpoint: Endpoint) => Promise<T>,
): Promise<T> {
  const endpoint = writeEndpoint(reference, context.options);
  return retrying(context.policy, signal, () => write(endpoint));
}

/** Turns a connection that broke in the middle of a body into an error that is retried. */
export async function receiving<T>(
  endpoint: Endpoint,
  signal: AbortSignal | undefined,
  receive: () => Promise<T>,
): Promise<T> {
  try {
    return await receive();
  } catch (error) {
    signal?.throwIfAborted();
    throw connectionFailure(endpoint, error);
  }
}

/** Reads a whole body, within a size limit and its timeouts. */
export async function wholeBody(
  endpoint: Endpoint,
  answer: Answer,
  maxBytes: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array<ArrayBuffer>> {
  await using held = answer;
  try {
    return await receiving(endpoint, signal, () => held.bytes(maxBytes));
  } catch (error) {
    if (!(error instanceof BodyTooLarge)) throw error;
    throw registryError(
      endpoint,
      "too-large",
      `the answer is over ${maxBytes} bytes`,
    );
  }
}

/** The token scopes of reading. */
export function pullScopes({ repository }: Endpoint): string[] {
  return [`repository:${repository}:pull`];
}

/** The token scopes of writing. */
export function pushScopes({ repository }: Endpoint): string[] {
  return [`repository:${repository}:pull,push`];
}

/** Shortens a digest for messages. */
export function brief(digest: Digest): string {
  return digest.slice(0, "sha256:".length + 12);
}
