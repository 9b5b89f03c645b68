import type { Digest } from "../../formats/oci/mod.ts";
import type { SpanSource } from "../../layers/spans/mod.ts";
import type { RegistryClient, Repository } from "../../remote/registry/mod.ts";

/** A layer blob in a registry. */
export class RegistrySpanSource implements SpanSource {
  readonly host: string;

  constructor(
    readonly client: RegistryClient,
    readonly repository: Repository,
    readonly digest: Digest,
  ) {
    this.host = repository.host;
  }

  fetch(
    start: number,
    end: number,
    into: Uint8Array<ArrayBuffer>,
    signal: AbortSignal,
    onProgress?: (filled: number) => void,
  ): Promise<void> {
    return this.client.range(
      this.repository,
      this.digest,
      start,
      end,
      into,
      signal,
      onProgress,
    );
  }
}
