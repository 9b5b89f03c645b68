import type { Containerd } from "../containerd/mod.ts";
import { isRpcError } from "../containerd_words/mod.ts";
import {
  type Descriptor,
  type Digest,
  isDigest,
  isIndexMediaType,
  isManifestMediaType,
  parseIndex,
  parseManifest,
} from "../../formats/oci/mod.ts";
import { SOCI_MEDIA } from "../../formats/soci/mod.ts";
import { ContentError } from "./errors.ts";
import {
  type ArtifactSink,
  type Cancellable,
  type Content,
  type ContentId,
  type ImageSource,
  type StreamOptions,
} from "./place.ts";
import { checkedPieces, checkWhole, collect } from "./verify.ts";

const GC_REF = "containerd.io/gc.ref.content";
/**
 * The label by which an image's manifest keeps a SOCI index v1, which nothing else names. Each index has
 * its own label: with a shared one, a second index would make containerd collect the first.
 */
export function gcLabelOfIndex(index: Digest): string {
  return `${GC_REF}.soci-index.${index.slice("sha256:".length, 19)}`;
}

/** The lease of a process that died expires after this time. */
const LEASE_MS = 24 * 3600 * 1000;

/**
 * containerd's content store, and an image by its name there.
 *
 * A lease holds new content until the place is disposed of. Labels hold it afterwards: manifests hold
 * their blobs, indexes their manifests, names their indexes.
 */
export class ContainerdPlace
  implements ImageSource, ArtifactSink, AsyncDisposable {
  readonly place = "containerd";
  #lease: Promise<string> | null = null;

  /**
   * The store of the connection's namespace.
   * @param containerd stays the caller's.
   * @param imageName null where no image is meant, but the store alone.
   */
  constructor(
    readonly containerd: Containerd,
    readonly imageName: string | null = null,
  ) {}

  async image({ signal }: Cancellable = {}): Promise<Descriptor> {
    const { imageName, containerd } = this;
    if (imageName === null) {
      throw new TypeError("the place stands for no image");
    }
    try {
      return (await containerd.images.get(imageName, { signal })).target;
    } catch (error) {
      if (!isRpcError(error, "NOT_FOUND")) throw error;
      throw new ContentError(
        "not-found",
        "containerd",
        null,
        `image "${imageName}": not found; pull it first, with its content kept`,
      );
    }
  }

  async has(
    { digest }: ContentId,
    { signal }: Cancellable = {},
  ): Promise<boolean> {
    return await this.containerd.content.has(digest, { signal });
  }

  async #find({ digest, size }: ContentId, signal?: AbortSignal) {
    let info;
    try {
      info = await this.containerd.content.info(digest, { signal });
    } catch (error) {
      if (!isRpcError(error, "NOT_FOUND")) throw error;
      throw new ContentError(
        "not-found",
        "containerd",
        digest,
        "not in the content store; pull the image with its content kept",
      );
    }
    if (info.sizeBytes !== size) {
      throw new ContentError(
        "integrity",
        "containerd",
        digest,
        `${info.sizeBytes} bytes instead of ${size}`,
      );
    }
  }

  async bytes(
    content: ContentId,
    options: Cancellable = {},
  ): Promise<Uint8Array> {
    checkWhole(this.place, content);
    const stream = await this.stream(content, options);
    return await collect(this.place, content, stream);
  }

  async stream(
    content: ContentId,
    options: StreamOptions = {},
  ): Promise<ReadableStream<Uint8Array>> {
    const { offset = 0, length = content.size - offset, signal } = options;
    await this.#find(content, signal);
    return ReadableStream.from(
      this.containerd.content.readBlob(content.digest, {
        offset,
        length,
        signal,
      }),
    );
  }

  async put(
    descriptor: Descriptor,
    content: Content,
    { signal }: Cancellable = {},
  ): Promise<"written" | "present"> {
    const { containerd } = this;
    const lease = await this.#hold();
    const labels = content instanceof Uint8Array
      ? gcLabels(descriptor, content)
      : {};
    const written = await containerd.content.putBlob(
      descriptor,
      checkedPieces(this.place, descriptor, content, signal),
      { labels, lease, signal },
    );
    if (written === "present" && Object.keys(labels).length > 0) {
      await containerd.content.updateLabels(descriptor.digest, labels, {
        signal,
      });
    }
    return written;
  }

  async tag(
    descriptor: Descriptor,
    name: string | null,
    { signal }: Cancellable = {},
  ): Promise<void> {
    if (name === null) return;
    const { mediaType, digest, size } = descriptor;
    await this.containerd.images.put(
      { name, target: { mediaType, digest, size }, labels: {} },
      { signal },
    );
  }

  /** Everything in the content store, with a digest of a kind we know. */
  async *list(): AsyncGenerator<
    { digest: Digest; size: number; createdAt: Date | null }
  > {
    for await (const info of this.containerd.content.list()) {
      if (!isDigest(info.digest)) continue; // of an algorithm we do not know
      yield {
        digest: info.digest,
        size: info.sizeBytes,
        createdAt: info.createdAt,
      };
    }
  }

  /** Forgets content. @returns whether it was there. */
  async remove(digest: Digest): Promise<boolean> {
    try {
      await this.containerd.content.delete(digest);
      return true;
    } catch (error) {
      if (isRpcError(error, "NOT_FOUND")) return false;
      throw error;
    }
  }

  /** Keeps content as long as its holder is there. @throws isMissing when it is not */
  async holdBy(holder: Digest, label: string, content: Digest): Promise<void> {
    await this.containerd.content.updateLabels(holder, { [label]: content });
  }

  /** Keeps content until it is removed. */
  async holdAlone(content: Digest): Promise<void> {
    await this.containerd.content.updateLabels(content, {
      "containerd.io/gc.root": new Date().toISOString(),
    });
  }

  #hold(): Promise<string> {
    this.#lease ??= this.containerd.leases.create({ expiresInMs: LEASE_MS });
    return this.#lease;
  }

  /** Ends the lease: content that nothing names may be collected. */
  async [Symbol.asyncDispose](): Promise<void> {
    const lease = await this.#lease?.catch(() => null); // told when it was asked for
    if (lease != null) await this.containerd.leases.delete(lease);
  }
}

/** The labels by which a document holds what it names, as the existing tools write them. */
function gcLabels(
  { mediaType }: Descriptor,
  bytes: Uint8Array,
): Record<string, string> {
  if (isIndexMediaType(mediaType)) {
    return Object.fromEntries(
      parseIndex(bytes, mediaType).manifests.map(({ digest }, i) => [
        `${GC_REF}.m.${i}`,
        digest,
      ]),
    );
  }
  if (!isManifestMediaType(mediaType)) return {};
  const { config, layers } = parseManifest(bytes, mediaType);
  const kind = config.mediaType === SOCI_MEDIA.indexV1 ||
      config.mediaType === SOCI_MEDIA.indexV2
    ? "ztoc"
    : "l";
  return Object.fromEntries([
    [`${GC_REF}.config`, config.digest],
    ...layers.map(({ digest }, i) => [`${GC_REF}.${kind}.${i}`, digest]),
  ]);
}
