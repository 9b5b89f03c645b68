import type { Descriptor, Digest } from "../../formats/oci/mod.ts";
import { discard } from "./body.ts";
import {
  brief,
  type Context,
  pushScopes,
  registryError,
  writing,
} from "./context.ts";
import { type Endpoint, endpointUrl } from "./endpoint.ts";
import type { RequestBody } from "./http.ts";
import type { Reference } from "./reference.ts";

/** A blob to push: all its bytes, or a stream that can be opened again for another try. */
export type BlobSource = Uint8Array | (() => ReadableStream<Uint8Array>);

type Place = Pick<Reference, "host" | "repository">;

/** Whether the repository holds a blob. */
export function hasBlob(
  context: Context,
  reference: Place,
  digest: Digest,
  signal?: AbortSignal,
): Promise<boolean> {
  return writing(context, reference, signal, async (endpoint) => {
    const answer = await context.transport.exchange(endpoint, {
      method: "HEAD",
      url: endpointUrl(endpoint, `blobs/${digest}`),
      scopes: pushScopes(endpoint),
      accept: [200, 404],
      doing: `looking for blob ${brief(digest)}`,
      signal,
    });
    await discard(answer);
    return answer.status === 200;
  });
}

/** Uploads a blob the repository does not hold. */
export function uploadBlob(
  context: Context,
  reference: Place,
  { digest, size }: Pick<Descriptor, "digest" | "size">,
  source: BlobSource,
  signal?: AbortSignal,
): Promise<void> {
  return writing(context, reference, signal, async (endpoint) => {
    if (source instanceof Uint8Array && source.length !== size) {
      throw registryError(
        endpoint,
        "integrity",
        `blob ${brief(digest)} has ${source.length} bytes, not ${size}`,
      );
    }
    let place = await startUpload(context, endpoint, signal);
    if (typeof source === "function") {
      // A streamed body has no length here, which a closing PUT needs at many registries; one
      // PATCH of unknown length is what Docker itself sends, so all of them take it.
      place = await send(context, endpoint, {
        method: "PATCH",
        url: place,
        body: (touch) => watched(source(), touch),
        digest,
        signal,
      });
    }
    await send(context, endpoint, {
      method: "PUT",
      url: withDigest(place, digest),
      body: typeof source === "function"
        ? new Uint8Array(0)
        : new Uint8Array(source),
      digest,
      signal,
    });
  });
}

/** Takes a blob over from another repository of the registry; false where it will not. */
export function mountBlob(
  context: Context,
  reference: Place,
  digest: Digest,
  fromRepository: string,
  signal?: AbortSignal,
): Promise<boolean> {
  return writing(context, reference, signal, async (endpoint) => {
    const answer = await context.transport.exchange(endpoint, {
      method: "POST",
      url: endpointUrl(endpoint, "blobs/uploads/", {
        mount: digest,
        from: fromRepository,
      }),
      scopes: [...pushScopes(endpoint), `repository:${fromRepository}:pull`],
      accept: [201, 202],
      doing: `mounting blob ${brief(digest)}`,
      signal,
    });
    await discard(answer);
    if (answer.status === 201) return true;
    const location = answer.header("location");
    if (location !== null) await cancel(context, endpoint, location, signal);
    return false;
  });
}

/** Ends an upload nobody wants; a registry that will not ends it by time. */
async function cancel(
  context: Context,
  endpoint: Endpoint,
  location: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  try {
    const answer = await context.transport.exchange(endpoint, {
      method: "DELETE",
      url: new URL(location, endpoint.root),
      scopes: pushScopes(endpoint),
      accept: [200, 202, 204],
      doing: "ending an upload",
      signal,
    });
    await discard(answer);
  } catch {
    signal?.throwIfAborted(); // all else does not matter to the caller
  }
}

async function startUpload(
  context: Context,
  endpoint: Endpoint,
  signal: AbortSignal | undefined,
): Promise<URL> {
  const answer = await context.transport.exchange(endpoint, {
    method: "POST",
    url: endpointUrl(endpoint, "blobs/uploads/"),
    scopes: pushScopes(endpoint),
    accept: [202],
    doing: "starting an upload",
    signal,
  });
  await discard(answer);
  return uploadPlace(endpoint, answer.header("location"));
}

async function send(
  context: Context,
  endpoint: Endpoint,
  { method, url, body, digest, signal }: {
    readonly method: "PATCH" | "PUT";
    readonly url: URL;
    readonly body: RequestBody;
    readonly digest: Digest;
    readonly signal: AbortSignal | undefined;
  },
): Promise<URL> {
  const answer = await context.transport.exchange(endpoint, {
    method,
    url,
    headers: { "content-type": "application/octet-stream" },
    body,
    scopes: pushScopes(endpoint),
    accept: method === "PUT" ? [201, 204] : [202],
    doing: `pushing blob ${brief(digest)}`,
    signal,
  });
  await discard(answer);
  return method === "PUT"
    ? url
    : uploadPlace(endpoint, answer.header("location"));
}

/** Where an upload goes on. Another host there gets the bytes, and no credentials. */
function uploadPlace(endpoint: Endpoint, location: string | null): URL {
  const url = location === null ? null : URL.parse(location, endpoint.root);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw registryError(endpoint, "protocol", "an upload has no location");
  }
  if (url.protocol === "http:" && endpoint.root.protocol === "https:") {
    throw registryError(
      endpoint,
      "protocol",
      "an upload leads from HTTPS to plain HTTP",
    );
  }
  return url;
}

function withDigest(place: URL, digest: Digest): URL {
  const url = new URL(place);
  // Added as text: what the registry put into the query may be signed as it stands.
  url.search = url.search === ""
    ? `?digest=${digest}`
    : `${url.search}&digest=${digest}`;
  return url;
}

function watched(
  source: ReadableStream<Uint8Array>,
  touch: () => void,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  return source.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array<ArrayBuffer>>({
      transform(chunk, controller) {
        touch();
        controller.enqueue(chunk as Uint8Array<ArrayBuffer>);
      },
    }),
  );
}
