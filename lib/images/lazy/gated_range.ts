import type { Digest } from "../../formats/oci/mod.ts";
import type { RegistryClient, Repository } from "../../remote/registry/mod.ts";

/** A request's turn. */
export interface RequestTurn {
  /** Aborts where others need its room, and nothing comes: it runs once more when it is its turn again. */
  readonly lost: AbortSignal;
  /** To be told of bytes that came: a request of which some come does not hang. */
  readonly came: (bytes: number) => void;
}

/** Runs a request of so many bytes when it is its turn. */
export type GatedRequest = (
  bytes: number,
  work: (turn: RequestTurn) => Promise<void>,
) => Promise<void>;

/** A part of a blob, and memory for it. */
export interface GatedPart {
  readonly repository: Repository;
  readonly digest: Digest;
  readonly start: number;
  readonly end: number;
  /** Nothing is written to it once that is over. */
  readonly into: Uint8Array<ArrayBuffer>;
  readonly signal: AbortSignal;
}

/** Brings a part of a large blob when it is its turn. @throws RegistryError, the signal's reason */
export async function rangeInTurn(
  request: GatedRequest,
  client: RegistryClient,
  { repository, digest, start, end, into, signal }: GatedPart,
): Promise<void> {
  await request(end - start, async ({ lost, came }) => {
    signal.throwIfAborted();
    const until = AbortSignal.any([signal, lost]);
    let told = 0;
    await client.range(
      ...[repository, digest, start, end, into, until] as const,
      (filled) => {
        came(filled - told);
        told = filled;
      },
      { isBulk: true },
    );
  });
}
