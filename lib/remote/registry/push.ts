import type { Descriptor, Digest } from "../../formats/oci/mod.ts";
import { type Answer, discard } from "./body.ts";
import {
  brief,
  type Context,
  pullScopes,
  pushScopes,
  writing,
} from "./context.ts";
import { type Endpoint, endpointUrl } from "./endpoint.ts";
import { RegistryError } from "./errors.ts";
import type { Reference } from "../../formats/reference/mod.ts";
import { Transient } from "./retry.ts";
import { isRefusal, saysNo } from "./status.ts";
import {
  type BlobSource,
  Upload,
  uploadPlace,
  type UploadWay,
} from "./upload.ts";

type Place = Pick<Reference, "host" | "repository">;

/** Whether the repository holds a blob. If HEAD is refused, asks for the blob's first byte. */
export function hasBlob(
  context: Context,
  reference: Place,
  digest: Digest,
  signal?: AbortSignal,
): Promise<boolean> {
  return writing(context, reference, signal, async (endpoint) => {
    const url = endpointUrl(endpoint, `blobs/${digest}`);
    const doing = `looking for blob ${brief(digest)}`;
    const answer = await context.transport.exchange(endpoint, {
      method: "HEAD",
      url,
      scopes: pushScopes(endpoint),
      accept: [200, 404],
      doing,
      signal,
    }).catch((error) => {
      if (!isRefusal(error)) throw error;
      return null; // registries and proxies refuse HEAD by nearly any status
    });
    if (answer !== null) {
      await discard(answer);
      return answer.status === 200;
    }
    const first = await context.transport.exchange(endpoint, {
      method: "GET",
      url,
      headers: { range: "bytes=0-0" },
      scopes: pushScopes(endpoint),
      accept: [200, 203, 206, 416],
      doing,
      signal,
    }).catch((error) => {
      if (!(error instanceof RegistryError && saysNo(error.status ?? 0))) {
        throw error;
      }
      return null; // if it is refused too, we know nothing; the upload gives the real error
    });
    await first?.[Symbol.asyncDispose]();
    return first !== null;
  });
}

/** Ways to upload, fewest requests first. */
const WAYS_OF_BYTES: readonly UploadWay[] = ["put", "patch", "chunks"];
const WAYS_OF_STREAMS: readonly UploadWay[] = ["patch", "chunks", "put"];
/** Error codes about the repository: another way of uploading would not help. */
const ABOUT_NAME = /\b(?:NAME_INVALID|NAME_UNKNOWN)\b/;

/**
 * Whether a registry may have refused the way of uploading, not the blob. One that ignores the body
 * of a request complains of the digest.
 */
function refusesWay(error: unknown): boolean {
  if (!(error instanceof RegistryError) || ABOUT_NAME.test(error.detail)) {
    return false;
  }
  const { status = 0 } = error;
  return status === 500 || (saysNo(status) && ![401, 403].includes(status));
}

/** Uploads a blob. Tries the ways of uploading in turn until the registry accepts one. */
export async function uploadBlob(
  context: Context,
  reference: Place,
  descriptor: Pick<Descriptor, "digest" | "size">,
  source: BlobSource,
  signal?: AbortSignal,
): Promise<void> {
  const ways = source instanceof Uint8Array ? WAYS_OF_BYTES : WAYS_OF_STREAMS;
  let refusal: RegistryError | null = null;
  for (const way of ways) {
    try {
      return await writing(
        context,
        reference,
        signal,
        (endpoint) =>
          new Upload(context, endpoint, descriptor, source, signal).send(way),
      );
    } catch (error) {
      if (!refusesWay(error)) throw error;
      // The first way is the usual one, so its error tells most.
      refusal ??= error as RegistryError;
    }
  }
  throw refusal;
}

/** Few retries: if mounting fails, the blob is uploaded instead. */
const MOUNT_RETRIES = 1;

/**
 * Mounts a blob from another repository of the registry.
 * @returns false if the registry refuses in any way; the caller then uploads the blob.
 */
export async function mountBlob(
  context: Context,
  reference: Place,
  digest: Digest,
  fromRepository: string,
  signal?: AbortSignal,
): Promise<boolean> {
  const patience = {
    ...context,
    policy: {
      ...context.policy,
      retries: Math.min(MOUNT_RETRIES, context.policy.retries),
    },
  };
  try {
    return await writing(patience, reference, signal, async (endpoint) => {
      const answer = await context.transport.exchange(endpoint, {
        method: "POST",
        url: endpointUrl(endpoint, "blobs/uploads/", {
          mount: digest,
          from: fromRepository,
        }),
        scopes: [
          ...pushScopes(endpoint),
          ...pullScopes({ ...endpoint, repository: fromRepository }),
        ],
        accept: [200, 201, 202, 204],
        doing: `mounting blob ${brief(digest)}`,
        redirectedWrites: "followed",
        signal,
      });
      await discard(answer);
      if (answer.status === 201) return true;
      await cancel(context, endpoint, answer, signal);
      return false;
    });
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof RegistryError || error instanceof Transient) {
      return false;
    }
    throw error;
  }
}

/** Cancels an upload. If the registry does not support that, the upload times out there. */
async function cancel(
  context: Context,
  endpoint: Endpoint,
  answer: Answer,
  signal: AbortSignal | undefined,
): Promise<void> {
  try {
    const ended = await context.transport.exchange(endpoint, {
      method: "DELETE",
      url: await uploadPlace(context, endpoint, answer, null),
      scopes: pushScopes(endpoint),
      accept: [200, 202, 204],
      doing: "ending an upload",
      signal,
    });
    await discard(ended);
  } catch {
    signal?.throwIfAborted(); // other errors do not matter to the caller
  }
}
