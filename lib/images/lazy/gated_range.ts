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
export interface BlobPart {
  readonly repository: Repository;
  readonly digest: Digest;
  readonly start: number;
  readonly end: number;
  /** Nothing is written to it once that is over. */
  readonly into: Uint8Array<ArrayBuffer>;
  readonly signal: AbortSignal;
}

/**
 * Brings a part of a large blob. @param came told of bytes that came, all in all those of the part.
 * @throws RegistryError, the signal's reason
 */
export async function bringPart(
  client: RegistryClient,
  { repository, digest, start, end, into, signal }: BlobPart,
  came: (bytes: number) => void,
): Promise<void> {
  let told = 0;
  const tell = (filled: number) => {
    came(filled - told);
    told = filled;
  };
  await client.range(
    ...[repository, digest, start, end, into, signal, tell] as const,
    { isBulk: true },
  );
  tell(into.length);
}

/** Brings a part of a large blob when it is its turn. @throws as `bringPart` */
export async function rangeInTurn(
  request: GatedRequest,
  client: RegistryClient,
  part: BlobPart,
): Promise<void> {
  await request(part.end - part.start, async ({ lost, came }) => {
    part.signal.throwIfAborted();
    const signal = AbortSignal.any([part.signal, lost]);
    await bringPart(client, { ...part, signal }, came);
  });
}
