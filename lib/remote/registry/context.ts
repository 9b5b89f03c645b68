import type { Digest } from "../../formats/oci/mod.ts";
import { type Answer, BodyTooLarge } from "./body.ts";
import { type Endpoint, readEndpoints, writeEndpoint } from "./endpoint.ts";
import { RegistryError, type RegistryErrorKind } from "./errors.ts";
import { connectionFailure } from "./http.ts";
import type { Capability, RegistryClientOptions } from "./options.ts";
import { RecentSet } from "./memory.ts";
import type { Reference } from "./reference.ts";
import { retrying, type RetryPolicy, retryPolicy } from "./retry.ts";
import { Transport } from "./transport.ts";

/** What the client's operations share. */
export interface Context {
  readonly options: RegistryClientOptions;
  readonly policy: RetryPolicy;
  readonly transport: Transport;
  /** Places that did not answer and are left alone, by their root. */
  readonly resting: RecentSet;
  /** Hosts seen to have no referrers API: their fallback tag is asked for at once. */
  readonly withoutReferrersApi: RecentSet;
  /** Places seen to give no parts of blobs, by their root: a host's repository. */
  readonly withoutRanges: RecentSet;
  /** Blobs of places that refused a part of them; see `noteWhole`. */
  readonly refusedRange: RecentSet;
}

/** How long a place that did not answer is left alone. */
const REST_MS = 30_000;
/** How long hosts are believed to lack what they lacked. */
const LACK_MS = 10 * 60_000;
/** How long a place is believed to give no parts of blobs: at first, as a cache may fill; at most. */
const RANGES_MS = 60_000;
const MAX_RANGES_MS = 3600_000;
/** Hosts and repositories that something is remembered of. */
const MAX_REMEMBERED = 1024;
/** A mirror is a convenience: it is not waited for as long as the registry itself. */
const MIRROR_RETRIES = 1;

/** A context of its own. */
export function makeContext(options: RegistryClientOptions): Context {
  return {
    options,
    policy: retryPolicy(options.retry),
    transport: new Transport(options),
    resting: remembered(REST_MS),
    withoutReferrersApi: remembered(LACK_MS),
    withoutRanges: remembered(RANGES_MS, MAX_RANGES_MS),
    refusedRange: remembered(LACK_MS),
  };
}

function remembered(keptMs: number, maxKeptMs = keptMs): RecentSet {
  return new RecentSet({ maxEntries: MAX_REMEMBERED, keptMs, maxKeptMs });
}

/** An error about one place. */
export function registryError(
  { host, repository }: Endpoint,
  kind: RegistryErrorKind,
  detail: string,
): RegistryError {
  return new RegistryError({ kind, host, repository, detail });
}

/**
 * Reads from the first place that gives, mirrors before the registry itself.
 * @throws RegistryError of the registry itself; of kind `range` where a mirror has the whole blob.
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
  for (const mirror of endpoints) {
    const { href } = mirror.root;
    if (context.resting.has(href)) continue;
    try {
      return await read(mirror, policy);
    } catch (error) {
      // Whatever is wrong with a mirror, the registry itself may still be right.
      if (!(error instanceof RegistryError)) throw error;
      if (error.kind === "range") withoutRanges ??= error;
      else if (error.kind !== "not-found") context.resting.add(href);
    }
  }
  if (withoutRanges === null) return await read(origin, context.policy);
  // Where the registry cannot be reached, the mirror's whole blob is as good as any.
  if (context.resting.has(origin.root.href)) throw withoutRanges;
  try {
    return await read(origin, policy);
  } catch (error) {
    if (!(error instanceof RegistryError)) throw error;
    if (error.kind === "unavailable") context.resting.add(origin.root.href);
    throw withoutRanges;
  }
}

/** Repeats a write to the registry itself, or to what is configured in its stead. */
export function writing<T>(
  context: Context,
  reference: Pick<Reference, "host" | "repository">,
  signal: AbortSignal | undefined,
  write: (endpoint: Endpoint) => Promise<T>,
): Promise<T> {
  const endpoint = writeEndpoint(reference, context.options);
  return retrying(context.policy, signal, () => write(endpoint));
}

/** Tells a connection that broke while a body came as an error that may pass. */
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

/** A whole body, not over a limit, under its time limits. */
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

/** The scopes of reading. */
export function pullScopes({ repository }: Endpoint): string[] {
  return [`repository:${repository}:pull`];
}

/** The scopes of writing. */
export function pushScopes({ repository }: Endpoint): string[] {
  return [`repository:${repository}:pull,push`];
}

/** A digest short enough for messages. */
export function brief(digest: Digest): string {
  return digest.slice(0, "sha256:".length + 12);
}
