import {
  type Descriptor,
  isIndexMediaType,
  isManifestMediaType,
  parseManifest,
} from "../../formats/oci/mod.ts";
import {
  type FetchedManifest,
  parseReference,
  type Reference,
  type RegistryClient,
  RegistryError,
} from "../registry/mod.ts";
import { ContentError, isMissing } from "./errors.ts";
import {
  type ArtifactSink,
  type Cancellable,
  type Content,
  type ContentId,
  type ImageSource,
  MAX_BYTES,
  type StreamOptions,
} from "./place.ts";
import { checkBytes, checkedPieces } from "./verify.ts";

/** A repository of a registry, and the image a reference names there. */
export class RegistryPlace implements ImageSource, ArtifactSink {
  readonly place: string;
  readonly imageName: string;
  /** The document that `image` has read, because its bytes are usually requested next. */
  #named: FetchedManifest | null = null;

  /**
   * Sends no request yet.
   * @param client stays the caller's.
   * @param options.mountFrom a repository of the same host whose blobs may be mounted.
   */
  constructor(
    private readonly client: RegistryClient,
    private readonly reference: Reference,
    private readonly options: { readonly mountFrom?: string } = {},
  ) {
    this.place = `${reference.host}/${reference.repository}`;
    this.imageName = reference.toString();
  }

  async image({ signal }: Cancellable = {}): Promise<Descriptor> {
    this.#named = await this.client.manifest(this.reference, { signal });
    return this.#named.descriptor;
  }

  async has(
    content: ContentId,
    { signal }: Cancellable = {},
  ): Promise<boolean> {
    const { digest } = content;
    if (!isDocument(content)) {
      return await this.client.hasBlob(this.reference, digest, { signal });
    }
    try {
      await this.client.resolve(this.reference.withDigest(digest), { signal });
      return true;
    } catch (error) {
      if (isMissing(error)) return false;
      throw error;
    }
  }

  async bytes(
    content: ContentId,
    { signal }: Cancellable = {},
  ): Promise<Uint8Array> {
    if (!isDocument(content)) {
      return await this.client.blobBytes(this.reference, content, {
        maxBytes: MAX_BYTES,
        signal,
      });
    }
    const { bytes } = this.#named?.descriptor.digest === content.digest
      ? this.#named
      : await this.client.manifest(this.reference, {
        digest: content.digest,
        signal,
      });
    checkBytes(this.place, content, bytes);
    return bytes;
  }

  async stream(
    content: ContentId,
    options: StreamOptions = {},
  ): Promise<ReadableStream<Uint8Array>> {
    const { offset = 0, length = content.size - offset, signal } = options;
    const rest = isDocument(content)
      ? ReadableStream.from([
        (await this.bytes(content, options)).subarray(offset),
      ])
      : await this.client.blob(this.reference, content, { offset, signal });
    return offset + length === content.size ? rest : firstBytes(rest, length);
  }

  async put(
    descriptor: Descriptor,
    content: Content,
    { signal }: Cancellable = {},
  ): Promise<"written" | "present"> {
    const { client, reference } = this;
    if (isDocument(descriptor)) {
      return await this.#putDocument(descriptor, content, signal);
    }
    if (await client.hasBlob(reference, descriptor.digest, { signal })) {
      return "present";
    }
    const { mountFrom } = this.options;
    if (
      mountFrom !== undefined && mountFrom !== reference.repository &&
      await client.mount(reference, descriptor.digest, mountFrom, { signal })
    ) return "written";
    if (content instanceof Uint8Array) {
      checkBytes(this.place, descriptor, content);
    }
    const pieces = () =>
      ReadableStream.from(
        checkedPieces(this.place, descriptor, content, signal),
      );
    const written = await client.pushBlob(
      reference,
      descriptor,
      content instanceof Uint8Array ? content : pieces,
      { signal },
    );
    return written ? "written" : "present";
  }

  async #putDocument(
    descriptor: Descriptor,
    content: Content,
    signal: AbortSignal | undefined,
  ): Promise<"written" | "present"> {
    const bytes = await wholeContent(this.place, descriptor, content, signal);
    const { mediaType, digest } = descriptor;
    const subject = isManifestMediaType(mediaType)
      ? parseManifest(bytes, mediaType).subject
      : undefined;
    const { client, reference } = this;
    const there = await this.has(descriptor, { signal });
    if (subject === undefined) {
      if (there) return "present";
      await client.pushManifest(reference, bytes, mediaType, { signal });
      return "written";
    }
    // If the registry has no referrers API, the list of referrers is pushed after the manifest. A push
    // that was interrupted between the two is completed here.
    if (there) {
      const listed = await client.referrers(
        reference,
        subject.digest,
        undefined,
        { signal },
      ).catch((error) => {
        if (error instanceof RegistryError) return []; // pushing has ways round it
        throw error;
      });
      if (listed.some((one) => one.digest === digest)) return "present";
    }
    await client.pushReferrer(reference, bytes, mediaType, subject, { signal });
    return "written";
  }

  /**
   * Points a tag at a manifest that exists.
   * @param name a tag, or a whole reference to this repository; null: the digest is name enough. */
  async tag(
    descriptor: Descriptor,
    name: string | null,
    { signal }: Cancellable = {},
  ): Promise<void> {
    if (name === null) return;
    const tag = /[/:]/.test(name) ? parseReference(name).tag : name;
    if (tag === null) {
      throw new ContentError(
        "unusable",
        this.place,
        null,
        `${name} has no tag`,
      );
    }
    const { client, reference } = this;
    const bytes = await this.bytes(descriptor, { signal });
    await client.pushManifest(reference, bytes, descriptor.mediaType, {
      tag,
      signal,
    });
  }
}

/** Whether a registry keeps it among its manifests. */
function isDocument({ mediaType }: Pick<ContentId, "mediaType">) {
  return isManifestMediaType(mediaType) || isIndexMediaType(mediaType);
}

async function wholeContent(
  place: string,
  descriptor: Descriptor,
  content: Content,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const piece of checkedPieces(place, descriptor, content, signal)) {
    parts.push(piece);
  }
  return parts.length === 1
    ? parts[0]!
    : new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer());
}

function firstBytes(
  stream: ReadableStream<Uint8Array>,
  length: number,
): ReadableStream<Uint8Array> {
  const reader = stream.getReader();
  let left = length;
  return new ReadableStream({
    async pull(controller) {
      const { value, done } = left === 0
        ? { value: undefined, done: true }
        : await reader.read();
      if (done || value === undefined) {
        await reader.cancel();
        controller.close();
        return;
      }
      const piece = value.subarray(0, left);
      left -= piece.length;
      controller.enqueue(piece);
    },
    cancel: (reason) => reader.cancel(reason),
  }, { highWaterMark: 0 });
}
