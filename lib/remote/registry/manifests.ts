import {
  type Descriptor,
  type Digest,
  isDigest,
  MAX_MANIFEST_BYTES,
  MEDIA,
  sha256,
} from "../../formats/oci/mod.ts";
import { discard } from "./body.ts";
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
import type { Reference } from "./reference.ts";
import { retrying } from "./retry.ts";

/** A manifest's exact bytes and what points to them. */
export interface FetchedManifest {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly descriptor: Descriptor;
}

const ACCEPT = [
  MEDIA.ociIndex,
  MEDIA.ociManifest,
  MEDIA.dockerIndex,
  MEDIA.dockerManifest,
].join(", ");

/** What a reference points to, by HEAD where the registry's answer is full, else by GET. */
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
          // Some registries do not know HEAD here; GET then says what is the matter.
          accept: [200, 400, 405, 406, 501],
          doing: `looking up ${name}`,
          signal,
        });
        await discard(answer);
        if (answer.status !== 200) return null;
        const size = answer.header("content-length");
        const digest = answer.header("docker-content-digest") ??
          reference.digest;
        const mediaType = mediaTypeOf(answer.header("content-type"));
        if (size === null || !isDigest(digest) || mediaType === "") return null;
        checkName(endpoint, name, digest);
        return { mediaType, digest, size: Number(size) };
      }),
    isDigest(name) ? "pull" : "resolve",
  );
  return found ?? (await fetchManifest(context, reference, name, signal))
    .descriptor;
}

/** A manifest, checked against the digest it was asked by, or the one the registry gives. */
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
          accept: [200],
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
        checkName(endpoint, name, digest);
        const said = answer.header("docker-content-digest");
        if (isDigest(said) && said !== digest) {
          throw registryError(
            endpoint,
            "integrity",
            `manifest ${name} has digest ${brief(digest)}, not ${brief(said)}`,
          );
        }
        const mediaType = mediaTypeOf(answer.header("content-type"));
        return { bytes, descriptor: { mediaType, digest, size: bytes.length } };
      }),
    isDigest(name) ? "pull" : "resolve",
  );
}

/** The same, or null where the registry has none of that name. */
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

/** What a push of a manifest came to. */
export interface PushedManifest {
  readonly descriptor: Descriptor;
  /** The registry knows the manifest as a referrer of its subject by itself. */
  readonly subjectNoted: boolean;
}

/** Writes a manifest under its digest, or under a tag. */
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
  return writing(context, reference, options.signal, async (endpoint) => {
    const answer = await context.transport.exchange(endpoint, {
      method: "PUT",
      url: manifestUrl(endpoint, name),
      headers: { "content-type": mediaType },
      body: bytes,
      scopes: pushScopes(endpoint),
      accept: [200, 201, 202],
      doing: `pushing manifest ${name}`,
      signal: options.signal,
    });
    const subjectNoted = answer.header("oci-subject") !== null;
    await discard(answer);
    return {
      descriptor: { mediaType, digest, size: bytes.length },
      subjectNoted,
    };
  });
}

/** Names come from outside: one with a slash or dots in it would be another address. */
function manifestUrl(endpoint: Endpoint, name: string): URL {
  if (!isDigest(name) && !/^\w[\w.-]{0,127}$/.test(name)) {
    throw registryError(endpoint, "protocol", `"${name}" is no tag or digest`);
  }
  return endpointUrl(endpoint, `manifests/${name}`);
}

/** A content type without its parameters. */
export function mediaTypeOf(contentType: string | null): string {
  return (contentType ?? "").split(";")[0]!.trim();
}

function checkName(endpoint: Endpoint, name: string, digest: Digest): void {
  if (!isDigest(name) || name === digest) return;
  throw registryError(
    endpoint,
    "integrity",
    `asked for manifest ${brief(name)}, got ${brief(digest)}`,
  );
}
