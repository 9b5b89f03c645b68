import type { Descriptor, Digest } from "../../formats/oci/mod.ts";
import { forbiddenLead, givenAddress } from "../network/mod.ts";
import { type Answer, discard } from "./body.ts";
import { brief, type Context, pushScopes, registryError } from "./context.ts";
import { type Endpoint, endpointUrl } from "./endpoint.ts";
import type { RequestBody } from "./http.ts";

/** A blob to push: all its bytes, or a function that opens a stream of them, once per try. */
export type BlobSource = Uint8Array | (() => ReadableStream<Uint8Array>);

/**
 * How a blob is sent once the registry has given the upload's address:
 * - `put`: whole, in the request that closes the upload;
 * - `patch`: whole, in one request before that; a stream is sent without a length, as Docker does;
 * - `chunks`: in chunks, each with its offset and length.
 */
export type UploadWay = "put" | "patch" | "chunks";

/** The size of a chunk, in bytes. A registry may ask for larger ones. */
const CHUNK_BYTES = 8 * 2 ** 20;
/** The largest chunk a registry can make us hold in memory. */
const MAX_CHUNK_BYTES = 64 * 2 ** 20;

/** One upload of one blob. */
export class Upload {
  #place: URL;
  #chunkBytes = CHUNK_BYTES;

  constructor(
    private readonly context: Context,
    private readonly endpoint: Endpoint,
    private readonly blob: Pick<Descriptor, "digest" | "size">,
    private readonly source: BlobSource,
    private readonly signal: AbortSignal | undefined,
  ) {
    this.#place = endpointUrl(endpoint, "blobs/uploads/");
  }

  /** Sends the whole blob. @throws RegistryError, Transient */
  async send(way: UploadWay): Promise<void> {
    const { source, endpoint } = this;
    const { digest, size } = this.blob;
    if (source instanceof Uint8Array && source.length !== size) {
      throw registryError(
        endpoint,
        "integrity",
        `blob ${brief(digest)} has ${source.length} bytes, not ${size}`,
      );
    }
    await this.#start();
    if (way === "patch") await this.#patch(this.#body(), {});
    else if (way === "chunks") await this.#patchChunks();
    await this.#finish(way === "put" ? this.#body() : new Uint8Array(0));
  }

  async #start(): Promise<void> {
    const answer = await this.#exchange("POST", this.#place, undefined, {});
    const least = Number(answer.header("oci-chunk-min-length") ?? 0);
    if (least > this.#chunkBytes) {
      this.#chunkBytes = Math.min(least, MAX_CHUNK_BYTES);
    }
    this.#place = await this.#placeIn(answer, null);
  }

  async #patch(
    body: RequestBody,
    headers: Readonly<Record<string, string>>,
  ): Promise<void> {
    const answer = await this.#exchange("PATCH", this.#place, body, headers);
    this.#place = await this.#placeIn(answer, this.#place);
  }

  #placeIn(answer: Answer, before: URL | null): Promise<URL> {
    return uploadPlace(this.context, this.endpoint, answer, before);
  }

  async #patchChunks(): Promise<void> {
    let at = 0;
    for await (const chunk of pieces(this.source, this.#chunkBytes)) {
      await this.#patch(chunk, {
        "content-range": `${at}-${at + chunk.length - 1}`,
      });
      at += chunk.length;
    }
  }

  async #finish(body: RequestBody): Promise<void> {
    const place = withDigest(this.#place, this.blob.digest);
    await this.#exchange("PUT", place, body, {});
  }

  #body(): RequestBody {
    const { source } = this;
    return source instanceof Uint8Array
      ? new Uint8Array(source)
      : (touch) => watched(source(), touch);
  }

  async #exchange(
    method: "POST" | "PATCH" | "PUT",
    url: URL,
    body: RequestBody | undefined,
    headers: Readonly<Record<string, string>>,
  ): Promise<Answer> {
    const { context, endpoint, signal } = this;
    const answer = await context.transport.exchange(endpoint, {
      method,
      url,
      headers: {
        ...(body !== undefined &&
          { "content-type": "application/octet-stream" }),
        ...headers,
      },
      ...(body !== undefined && { body }),
      scopes: pushScopes(endpoint),
      // The specification has one status for each method; registries mix them up.
      accept: [200, 201, 202, 204],
      doing: method === "POST"
        ? "starting an upload"
        : `pushing blob ${brief(this.blob.digest)}`,
      redirectedWrites: "followed",
      signal,
    });
    await discard(answer);
    return answer;
  }
}

/**
 * Where an upload continues. If it is another host, it gets the bytes but no credentials.
 * @param before the address so far, kept if the answer does not give one.
 */
export async function uploadPlace(
  { transport }: Context,
  endpoint: Endpoint,
  answer: Answer,
  before: URL | null,
): Promise<URL> {
  const location = answer.header("location");
  const uuid = answer.header("docker-upload-uuid");
  if (location === null || location === "") {
    if (before !== null) return before;
    if (uuid !== null && /^[\w.~=-]+$/.test(uuid)) {
      return endpointUrl(endpoint, `blobs/uploads/${uuid}`);
    }
  }
  const url = givenAddress(location || null, answer.url);
  if (url === null) {
    throw registryError(endpoint, "protocol", "an upload has no location");
  }
  const lead = await forbiddenLead(
    endpoint.root,
    url,
    transport.network.lookup,
  );
  if (lead !== null) {
    throw registryError(endpoint, "protocol", `an upload leads ${lead}`);
  }
  url.hash = "";
  return url;
}

function withDigest(place: URL, digest: Digest): URL {
  const url = new URL(place);
  // Appended as text: the registry may have signed the query exactly as it is.
  url.search = url.search === ""
    ? `?digest=${digest}`
    : `${url.search}&digest=${digest}`;
  return url;
}

/** Cuts a blob into pieces of one size; the last may be smaller. The caller owns the pieces. */
async function* pieces(
  source: BlobSource,
  size: number,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, void> {
  if (source instanceof Uint8Array) {
    for (let at = 0; at < source.length; at += size) {
      yield source.slice(at, at + size);
    }
    return;
  }
  let piece = new Uint8Array(size);
  let filled = 0;
  for await (let chunk of source()) {
    while (chunk.length > 0) {
      const part = chunk.subarray(0, size - filled);
      piece.set(part, filled);
      filled += part.length;
      chunk = chunk.subarray(part.length);
      if (filled < size) continue;
      yield piece;
      piece = new Uint8Array(size);
      filled = 0;
    }
  }
  if (filled > 0) yield piece.subarray(0, filled);
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
