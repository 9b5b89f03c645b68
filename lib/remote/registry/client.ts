import type { Descriptor, Digest } from "../../formats/oci/mod.ts";
import { fetchBlob, streamBlob } from "./blobs.ts";
import {
  asksMirrors,
  type Context,
  makeContext,
  passMirrors,
} from "./context.ts";
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
import { type RangeOptions, readRange } from "./ranges.ts";
import type { Reference } from "../../formats/reference/mod.ts";
import { listReferrers } from "./referrers.ts";
import { deleteReferrer } from "./delete_referrer.ts";
import { putReferrer } from "./push_referrer.ts";
import type { BlobSource } from "./upload.ts";

/** A repository: a {@link Reference} without its tag and digest. */
export type Repository = Pick<Reference, "host" | "repository">;

/** Options of a call that can be aborted. */
export interface Cancellable {
  /** Ends the call early; the call then throws the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Speaks the OCI distribution specification with any registry.
 *
 * Every method retries what may pass, follows redirects, logs in when asked to, and throws {@link
 * RegistryError} (or the signal's reason). One client serves a whole process: its users share
 * logins, redirect targets and connections.
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

  /** Sends no request yet. */
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

  /** Fetches a manifest or index and checks its digest. Default: the one `reference` names. */
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
   * Streams a blob's bytes from `offset` on. Checks its length and resumes broken connections. The
   * reader sees all bytes anyway, so it checks the digest.
   */
  blob(
    repository: Repository,
    descriptor: Pick<Descriptor, "digest" | "size">,
    { signal, offset = 0 }: { readonly offset?: number } & Cancellable = {},
  ): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
    return streamBlob(this.#context, repository, descriptor, offset, signal);
  }

  /** Fetches a small blob whole and checks its digest. */
  blobBytes(
    repository: Repository,
    descriptor: Pick<Descriptor, "digest" | "size">,
    { maxBytes, signal }: { readonly maxBytes: number } & Cancellable,
  ): Promise<Uint8Array<ArrayBuffer>> {
    return fetchBlob(this.#context, repository, descriptor, maxBytes, signal);
  }

  /**
   * Fills `into`, which is as long as the range. After an error its content is undefined. The bytes
   * are not verified: a range has no digest here. An error of kind `range` means that the blob can
   * only be fetched whole. A place that gives no ranges is remembered for a while and not asked for
   * any.
   * @param onProgress called with the number of bytes of `into` that are filled. Starts at 0 again
   * when another place is asked.
   * @param options.isBulk whether it is one of many that give a large blob. Default: it is not.
   */
  range(
    repository: Repository,
    digest: Digest,
    start: number,
    endExclusive: number,
    into: Uint8Array,
    signal?: AbortSignal,
    onProgress?: (filled: number) => void,
    options: RangeOptions = {},
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
      options,
    );
  }

  /** Whether what is read now of a repository may be of a mirror. */
  asksMirrors(repository: Repository): boolean {
    return asksMirrors(this.#context, repository);
  }

  /** Of bytes that were read, a digest is not what it should be: for an hour the repository's mirrors are not asked. */
  passMirrors(repository: Repository): void {
    passMirrors(this.#context, repository);
  }

  /**
   * Lists the manifests whose subject is `digest`, optionally of one artifact type only.
   * @param options.beside those of these types too, behind the others, as far as the same answer lists them.
   */
  referrers(
    repository: Repository,
    digest: Digest,
    artifactType?: string,
    { signal, beside }: Cancellable & {
      readonly beside?: readonly string[];
    } = {},
  ): Promise<Descriptor[]> {
    return listReferrers(
      this.#context,
      repository,
      digest,
      { artifactType, beside },
      signal,
    );
  }

  /** Whether the repository itself (not a mirror) holds a blob. */
  hasBlob(
    repository: Repository,
    digest: Digest,
    { signal }: Cancellable = {},
  ): Promise<boolean> {
    return hasBlob(this.#context, repository, digest, signal);
  }

  /**
   * Pushes a blob unless the repository already holds it.
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

  /**
   * Pushes a manifest that has a subject. Without a referrers API, lists it under the fallback tag.
   */
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

  /**
   * Deletes a manifest that has a subject, also from the list of the fallback tag.
   * @returns false when it was not there. @throws RegistryError; many registries delete nothing
   */
  deleteReferrer(
    repository: Repository,
    digest: Digest,
    subject: Digest,
    { signal }: Cancellable = {},
  ): Promise<boolean> {
    return deleteReferrer(this.#context, repository, digest, subject, signal);
  }

  /** Mounts a blob from another repository of the same registry; false if the registry refuses. */
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

  /** Closes the client's own connections; those of the global `fetch` stay. */
  [Symbol.dispose](): void {
    this.#context.transport[Symbol.dispose]();
  }
}
