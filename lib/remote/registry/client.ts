import type { Descriptor, Digest } from "../../formats/oci/mod.ts";
import { fetchBlob, streamBlob } from "./blobs.ts";
import { type Context, makeContext } from "./context.ts";
import type { Credential } from "./credentials.ts";
import {
  type FetchedManifest,
  fetchManifest,
  type PushedManifest,
  putManifest,
  resolveManifest,
} from "./manifests.ts";
import type { RegistryClientOptions } from "./options.ts";
import { hasBlob, mountBlob, uploadBlob } from "./push.ts";
import { readRange } from "./ranges.ts";
import type { Reference } from "./reference.ts";
import { listReferrers } from "./referrers.ts";
import { putReferrer } from "./push_referrer.ts";
import type { BlobSource } from "./upload.ts";

/** A repository: a {@link Reference}, of which tag and digest do not matter. */
export type Repository = Pick<Reference, "host" | "repository">;

/** Lets a caller leave. */
export interface Cancellable {
  /** Ends the call early; its reason is what is thrown then. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Speaks the OCI distribution specification with any registry.
 *
 * Every method tries again by itself where that may help, follows redirects, logs in when asked
 * to, and throws {@link RegistryError} (or the signal's reason). One client serves a whole process:
 * logins, redirect targets and connections are shared by all its users.
 *
 * @example
 * ```ts ignore
 * import { parseReference, RegistryClient } from "./mod.ts";
 * async function configOf(name: string): Promise<string> {
 *   using client = new RegistryClient();
 *   const reference = parseReference(name);
 *   const { digest } = await client.resolve(reference);
 *   const { bytes } = await client.manifest(reference, { digest });
 *   return new TextDecoder().decode(bytes);
 * }
 * ```
 */
export class RegistryClient implements Disposable {
  readonly #context: Context;

  /** Asks nothing yet. */
  constructor(options: RegistryClientOptions = {}) {
    this.#context = makeContext(options);
  }

  /** What the registry of a repository would be told about who asks; null: nothing. */
  credential(
    { host, repository }: Repository,
  ): Promise<Credential | null> {
    const { credentials } = this.#context.options;
    return credentials?.get(host, repository) ?? Promise.resolve(null);
  }

  /** What a reference points to now. */
  resolve(
    reference: Reference,
    { signal }: Cancellable = {},
  ): Promise<Descriptor> {
    return resolveManifest(this.#context, reference, signal);
  }

  /** A manifest or index, checked against its digest; by default the one `reference` names. */
  manifest(
    reference: Reference,
    { digest, tag, signal }:
      & { readonly digest?: Digest; readonly tag?: string }
      & Cancellable = {},
  ): Promise<FetchedManifest> {
    const name = digest ?? tag ?? reference.object;
    return fetchManifest(this.#context, reference, name, signal);
  }

  /**
   * A blob's bytes from `offset` on. Its length is checked and broken connections are resumed; the
   * digest is for the reader to check, who sees all bytes anyway.
   */
  blob(
    repository: Repository,
    descriptor: Pick<Descriptor, "digest" | "size">,
    { signal, offset = 0 }: { readonly offset?: number } & Cancellable = {},
  ): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
    return streamBlob(this.#context, repository, descriptor, offset, signal);
  }

  /** A whole small blob, its digest checked. */
  blobBytes(
    repository: Repository,
    descriptor: Pick<Descriptor, "digest" | "size">,
    { maxBytes, signal }: { readonly maxBytes: number } & Cancellable,
  ): Promise<Uint8Array<ArrayBuffer>> {
    return fetchBlob(this.#context, repository, descriptor, maxBytes, signal);
  }

  /**
   * Fills `into`, which is as long as the range. After an error its content is of no use. The bytes
   * are not checked: a range has no digest here. An error of kind `range` means that the blob can be
   * had whole only; places that give no ranges are remembered for a while, and not asked for any.
   * @param onProgress told how many bytes of `into` are filled, as they come; from the beginning again
   * when another place is asked.
   */
  range(
    repository: Repository,
    digest: Digest,
    start: number,
    endExclusive: number,
    into: Uint8Array,
    signal?: AbortSignal,
    onProgress?: (filled: number) => void,
  ): Promise<void> {
    return readRange(
      this.#context,
      repository,
      digest,
      start,
      endExclusive,
      into,
      signal,
      onProgress,
    );
  }

  /** The manifests that name `digest` as their subject, of one artifact type where it is given. */
  referrers(
    repository: Repository,
    digest: Digest,
    artifactType?: string,
    { signal }: Cancellable = {},
  ): Promise<Descriptor[]> {
    return listReferrers(
      this.#context,
      repository,
      digest,
      artifactType,
      signal,
    );
  }

  /** Whether the repository itself (no mirror) holds a blob. */
  hasBlob(
    repository: Repository,
    digest: Digest,
    { signal }: Cancellable = {},
  ): Promise<boolean> {
    return hasBlob(this.#context, repository, digest, signal);
  }

  /**
   * Pushes a blob the repository does not hold yet.
   * @returns whether bytes were sent.
   */
  async pushBlob(
    repository: Repository,
    descriptor: Pick<Descriptor, "digest" | "size">,
    source: BlobSource,
    { signal }: Cancellable = {},
  ): Promise<boolean> {
    if (await this.hasBlob(repository, descriptor.digest, { signal })) {
      return false;
    }
    await uploadBlob(this.#context, repository, descriptor, source, signal);
    return true;
  }

  /** Pushes a manifest under its digest, or under a tag. */
  async pushManifest(
    repository: Repository,
    bytes: Uint8Array,
    mediaType: string,
    { tag, signal }: { readonly tag?: string } & Cancellable = {},
  ): Promise<Descriptor> {
    const { descriptor } = await putManifest(
      this.#context,
      repository,
      { bytes, mediaType },
      {
        ...(tag !== undefined && { tag }),
        ...(signal !== undefined && { signal }),
      },
    );
    return descriptor;
  }

  /** Pushes a manifest that has a subject, listed under the fallback tag where there is no API. */
  pushReferrer(
    repository: Repository,
    bytes: Uint8Array,
    mediaType: string,
    subject: Descriptor,
    { signal }: Cancellable = {},
  ): Promise<PushedManifest> {
    const manifest = { bytes, mediaType };
    return putReferrer(this.#context, repository, manifest, subject, signal);
  }

  /** Takes a blob over from another repository of the same registry; false where it will not. */
  mount(
    repository: Repository,
    digest: Digest,
    fromRepository: string,
    { signal }: Cancellable = {},
  ): Promise<boolean> {
    return mountBlob(
      this.#context,
      repository,
      digest,
      fromRepository,
      signal,
    );
  }

  /** Closes own connections; the global client's go on. */
  [Symbol.dispose](): void {
    this.#context.transport[Symbol.dispose]();
  }
}
