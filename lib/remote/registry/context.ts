import type { Digest } from "../../formats/oci/mod.ts";
import { type Answer, BodyTooLarge } from "./body.ts";
import { type Endpoint, readEndpoints, writeEndpoint } from "./endpoint.ts";
import { RegistryError, type RegistryErrorKind } from "./errors.ts";
import { connectionFailure } from "./http.ts";
import type { Capability, RegistryClientOptions } from "./options.ts";
import type { Reference } from "./reference.ts";
import { retrying, type RetryPolicy, retryPolicy } from "./retry.ts";
import { Transport } from "./transport.ts";

/** What the client's operations share. */
export interface Context {
  readonly options: RegistryClientOptions;
  readonly policy: RetryPolicy;
  readonly transport: Transport;
  /** When a mirror that failed may be asked again, by its root. */
  readonly restingMirrors: Map<string, number>;
  /** Hosts seen to have no referrers API: their fallback tag is asked for at once. */
  readonly withoutReferrersApi: Set<string>;
}

/** How long a mirror that did not answer is left alone. */
const MIRROR_REST_MS = 30_000;
/** A mirror is a convenience: it is not waited for as long as the registry itself. */
const MIRROR_RETRIES = 1;

/** A context of its own. */
export function makeContext(options: RegistryClientOptions): Context {
  return {
    options,
    policy: retryPolicy(options.retry),
    transport: new Transport(options),
    restingMirrors: new Map(),
    withoutReferrersApi: new Set(),
  };
}

/** An error about one place. */
export function registryError(
  { host, repository }: Endpoint,
  kind: RegistryErrorKind,
  detail: string,
): RegistryError {
  return new RegistryError({ kind, host, repository, detail });
}

/** Reads from the first place that gives, mirrors before the registry itself. */
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
  for (const mirror of endpoints) {
    const until = context.restingMirrors.get(mirror.root.href) ?? 0;
    if (performance.now() < until) continue;
    try {
      return await read(mirror, policy);
    } catch (error) {
      // Whatever is wrong with a mirror, the registry itself may still be right.
      if (!(error instanceof RegistryError)) throw error;
      if (error.kind !== "not-found") {
        context.restingMirrors.set(
          mirror.root.href,
          performance.now() + MIRROR_REST_MS,
        );
      }
    }
  }
  return await read(origin, context.policy);
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
