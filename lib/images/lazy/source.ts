import type { Digest } from "../../formats/oci/mod.ts";
import type { SpanSource } from "../../layers/spans/mod.ts";
import type { RegistryClient, Repository } from "../../remote/registry/mod.ts";

/** A layer blob in a registry. */
export class RegistrySpanSource implements SpanSource {
  /** The repository's host: what is on its way is bounded by host, and by repository. */
  readonly host: string;
  readonly repository: string;

  /** Nothing is asked yet. */
  constructor(
    /** Stays the caller's. */
    readonly client: RegistryClient,
    /** Where the blob is. */
    readonly from: Repository,
    /** Of the blob. */
    readonly digest: Digest,
  ) {
    this.host = from.host;
    this.repository = from.repository;
  }

  /** Fills `into` with bytes of the blob; they are not checked. @throws RegistryError */
  fetch(
    start: number,
    end: number,
    into: Uint8Array<ArrayBuffer>,
    signal: AbortSignal,
    onProgress?: (filled: number) => void,
  ): Promise<void> {
    return this.client.range(
      this.from,
      this.digest,
      start,
      end,
      into,
      signal,
      onProgress,
    );
  }
}

/** A repository, of whatever registry. */
export function nameOf({ host, repository }: Repository): string {
  return `${host}/${repository}`;
}
