import type { Digest } from "../../../lib/formats/oci/mod.ts";
import type { Image, ImageSet } from "./image.ts";

/** How to reach the registry. */
export interface PushOptions {
  readonly scheme?: "http" | "https";
  /** The value of the Authorization header. */
  readonly authorization?: string;
  /** PEM of the authorities to trust in addition to the usual ones. */
  readonly caCerts?: string[];
}

/** The registry refused what was pushed. */
export class PushError extends Error {
  override readonly name = "PushError";
  constructor(
    readonly request: string,
    readonly status: number,
    body: string,
  ) {
    super(`${request}: HTTP ${status} ${body.slice(0, 300)}`);
  }
}

/**
 * Pushes an image, or an index with its images, with plain `fetch`, so it is independent of the
 * client under test.
 * @throws PushError
 */
export async function pushImage(
  host: string,
  name: string,
  image: Image | ImageSet,
  options: PushOptions = {},
): Promise<void> {
  const colon = name.lastIndexOf(":");
  const repository = colon < 0 ? name : name.slice(0, colon);
  const tag = colon < 0 ? "latest" : name.slice(colon + 1);
  using client = Deno.createHttpClient({ caCerts: options.caCerts ?? [] });
  const target = new Target(host, repository, options, client);
  if (image.kind === "index") {
    for (const part of image.images) {
      await target.image(part, part.digest);
    }
    await target.manifest(image, tag);
  } else {
    await target.image(image, tag);
  }
}

class Target {
  readonly #origin: string;
  readonly #base: string;

  constructor(
    host: string,
    repository: string,
    private readonly options: PushOptions,
    private readonly client: Deno.HttpClient,
  ) {
    this.#origin = `${options.scheme ?? "http"}://${host}`;
    this.#base = `${this.#origin}/v2/${repository}`;
  }

  async image(image: Image, tag: string): Promise<void> {
    for (const [digest, bytes] of image.blobs) await this.#blob(digest, bytes);
    await this.manifest(image, tag);
  }

  async manifest(image: Image | ImageSet, tag: string): Promise<void> {
    await this.#send("PUT", `${this.#base}/manifests/${tag}`, 201, {
      body: image.manifest,
      type: image.mediaType,
    });
  }

  async #blob(digest: Digest, bytes: Uint8Array): Promise<void> {
    const start = await this.#send("POST", `${this.#base}/blobs/uploads/`, 202);
    const location = new URL(start.headers.get("location") ?? "", this.#origin);
    location.searchParams.set("digest", digest);
    await this.#send("PUT", location.href, 201, {
      body: bytes,
      type: "application/octet-stream",
    });
  }

  async #send(
    method: string,
    url: string,
    expected: number,
    content?: { body: Uint8Array; type: string },
  ): Promise<Response> {
    const headers = new Headers();
    if (this.options.authorization !== undefined) {
      headers.set("authorization", this.options.authorization);
    }
    if (content !== undefined) headers.set("content-type", content.type);
    const response = await fetch(url, {
      method,
      headers,
      client: this.client,
      ...(content === undefined
        ? {}
        : { body: content.body as Uint8Array<ArrayBuffer> }),
    });
    const text = await response.text();
    if (response.status !== expected) {
      throw new PushError(`${method} ${url}`, response.status, text);
    }
    return response;
  }
}
