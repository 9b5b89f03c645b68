import {
  bareMediaType,
  type Descriptor,
  type Digest,
  documentMediaType,
  isDigest,
  isIndexMediaType,
  isManifestMediaType,
  isSchema1MediaType,
  MAX_MANIFEST_BYTES,
  MEDIA,
  sha256,
} from "../../formats/oci/mod.ts";
import { type Answer, discard } from "./body.ts";
import {
  brief,
  type Context,
  pullScopes,
  pushScopes,
  reading,
  registryError,
  wholeBody,
  writing,
} from "./context.ts";
import { type Endpoint, endpointUrl } from "./endpoint.ts";
import { RegistryError } from "./errors.ts";
import type { Reference } from "../../formats/reference/mod.ts";
import { retrying } from "./retry.ts";
import { isRefusal, saysNo } from "./status.ts";

/** A manifest's exact bytes and its descriptor. */
export interface FetchedManifest {
  /** As stored at the registry, verified. The caller owns them. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Describes these bytes, with the media type that the registry gave. */
  readonly descriptor: Descriptor;
}

const ACCEPT = [
  MEDIA.ociIndex,
  MEDIA.ociManifest,
  MEDIA.dockerIndex,
  MEDIA.dockerManifest,
  // Accept anything else too: our error names the type; a registry's refusal would not.
  "*/*;q=0.1",
].join(", ");

/**
 * Resolves a reference by HEAD, or by GET if HEAD fails or its answer is incomplete: registries and
 * proxies refuse HEAD by nearly any status.
 */
export async function resolveManifest(
  context: Context,
  reference: Reference,
  signal?: AbortSignal,
): Promise<Descriptor> {
  const name = reference.object;
  const found = await reading(
    context,
    reference,
    (endpoint, policy) =>
      retrying(policy, signal, async () => {
        const answer = await context.transport.exchange(endpoint, {
          method: "HEAD",
          url: manifestUrl(endpoint, name),
          headers: { accept: ACCEPT },
          scopes: pullScopes(endpoint),
          accept: [200],
          doing: `looking up ${name}`,
          signal,
        }).catch((error) => {
          if (!isRefusal(error)) throw error;
          return null; // only GET gives the real answer
        });
        if (answer === null) return null;
        await discard(answer);
        const size = Number(answer.header("content-length") ?? 0);
        const digest = answer.header("docker-content-digest") ??
          reference.digest;
        const mediaType = bareMediaType(answer.header("content-type"));
        const known = isIndexMediaType(mediaType) ||
          isManifestMediaType(mediaType);
        // The length of a compressed answer is not the manifest's. Some proxies say 0 to HEAD.
        const isLength = size > 0 && answer.encoding === null;
        if (!isLength || !isDigest(digest) || !known) return null;
        if (isDigest(name) && name !== digest) return null;
        return { mediaType, digest, size };
      }),
    isDigest(name) ? "pull" : "resolve",
  );
  return found ?? (await fetchManifest(context, reference, name, signal))
    .descriptor;
}

/**
 * Fetches a manifest. Checks it against the digest in the request, else the one the registry gives.
 */
export function fetchManifest(
  context: Context,
  reference: Pick<Reference, "host" | "repository">,
  name: string,
  signal?: AbortSignal,
): Promise<FetchedManifest> {
  return reading(
    context,
    reference,
    (endpoint, policy) =>
      retrying(policy, signal, async () => {
        const answer = await context.transport.exchange(endpoint, {
          method: "GET",
          url: manifestUrl(endpoint, name),
          headers: { accept: ACCEPT },
          scopes: pullScopes(endpoint),
          accept: [200, 203],
          doing: `reading manifest ${name}`,
          signal,
        });
        const bytes = await wholeBody(
          endpoint,
          answer,
          MAX_MANIFEST_BYTES,
          signal,
        );
        const digest = sha256(bytes);
        const mediaType = documentMediaType(
          bytes,
          answer.header("content-type"),
        );
        // Checked before the digest, because a signed schema 1 document's digest covers only a part
        // of it.
        if (isSchema1MediaType(mediaType)) {
          throw registryError(
            endpoint,
            "unsupported",
            `manifest ${name} is in Docker's old format (schema 1), which is not supported`,
          );
        }
        checkName(endpoint, name, digest);
        // Where we know the digest, a header of some cache does not matter.
        const said = isDigest(name)
          ? null
          : answer.header("docker-content-digest");
        if (isDigest(said) && said !== digest) {
          throw registryError(
            endpoint,
            "integrity",
            `manifest ${name} has digest ${brief(digest)}, not ${brief(said)}`,
          );
        }
        return { bytes, descriptor: { mediaType, digest, size: bytes.length } };
      }),
    isDigest(name) ? "pull" : "resolve",
  );
}

/** Like {@linkcode fetchManifest}, but null if the registry does not have it. */
export async function findManifest(
  context: Context,
  reference: Pick<Reference, "host" | "repository">,
  name: string,
  signal?: AbortSignal,
): Promise<FetchedManifest | null> {
  try {
    return await fetchManifest(context, reference, name, signal);
  } catch (error) {
    if (error instanceof RegistryError && error.kind === "not-found") {
      return null;
    }
    throw error;
  }
}

/** The result of pushing a manifest. */
export interface PushedManifest {
  /** Describes what was pushed. */
  readonly descriptor: Descriptor;
  /** The registry itself lists the manifest as a referrer of its subject. */
  readonly subjectNoted: boolean;
}

/** Pushes a manifest under its digest, or under a tag. */
export function putManifest(
  context: Context,
  reference: Pick<Reference, "host" | "repository">,
  manifest: { readonly bytes: Uint8Array; readonly mediaType: string },
  options: { readonly tag?: string; readonly signal?: AbortSignal },
): Promise<PushedManifest> {
  const { mediaType } = manifest;
  const bytes = new Uint8Array(manifest.bytes);
  const digest = sha256(bytes);
  const name = options.tag ?? digest;
  const descriptor = { mediaType, digest, size: bytes.length };
  return writing(context, reference, options.signal, async (endpoint) => {
    let answer: Answer;
    try {
      answer = await context.transport.exchange(endpoint, {
        method: "PUT",
        url: manifestUrl(endpoint, name),
        headers: { "content-type": mediaType },
        body: bytes,
        scopes: pushScopes(endpoint),
        accept: [200, 201, 202, 204],
        doing: `pushing manifest ${name}`,
        signal: options.signal,
      });
    } catch (error) {
      // Tags may be immutable; registries refuse to overwrite them in many ways.
      const same = error instanceof RegistryError &&
        saysNo(error.status ?? 0) &&
        await isThere(context, endpoint, name, digest, options.signal);
      if (!same) throw error;
      return { descriptor, subjectNoted: false };
    }
    const subjectNoted = answer.header("oci-subject") !== null;
    await discard(answer);
    return { descriptor, subjectNoted };
  });
}

/** Whether a name already points to exactly these bytes. Not retried. */
async function isThere(
  context: Context,
  endpoint: Endpoint,
  name: string,
  digest: Digest,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  try {
    const answer = await context.transport.exchange(endpoint, {
      method: "GET",
      url: manifestUrl(endpoint, name),
      headers: { accept: ACCEPT },
      scopes: pushScopes(endpoint),
      accept: [200],
      doing: `reading manifest ${name}`,
      signal,
    });
    const bytes = await wholeBody(endpoint, answer, MAX_MANIFEST_BYTES, signal);
    return sha256(bytes) === digest;
  } catch {
    signal?.throwIfAborted();
    return false; // the caller reports the refused write instead
  }
}

/** Names come from outside. One with a slash or dots would address something else. */
function manifestUrl(endpoint: Endpoint, name: string): URL {
  if (!isDigest(name) && !/^\w[\w.-]{0,127}$/.test(name)) {
    throw registryError(endpoint, "protocol", `"${name}" is no tag or digest`);
  }
  return endpointUrl(endpoint, `manifests/${name}`);
}

function checkName(endpoint: Endpoint, name: string, digest: Digest): void {
  if (!isDigest(name) || name === digest) return;
  throw registryError(
    endpoint,
    "integrity",
    `asked for manifest ${brief(name)}, got ${brief(digest)}`,
  );
}
