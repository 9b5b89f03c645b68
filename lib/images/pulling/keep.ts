import type { Descriptor } from "../../formats/oci/mod.ts";
import type { Repository } from "../../remote/registry/mod.ts";

/** A blob in a file, and where it goes. */
export interface KeptBlob {
  /** containerd's. */
  readonly namespace: string;
  /** Where it came from: containerd may push it there without its bytes. */
  readonly from: Repository;
  /** What it is; containerd compares it with that. */
  readonly blob: Pick<Descriptor, "digest" | "size">;
  /** A file with it. */
  readonly path: string;
}

/** Bytes that are read at a time. */
const PIECE_BYTES = 2 ** 20;
/** So long containerd keeps a blob that no manifest of its names: whoever pulls stores that meanwhile, ms. */
const LEASE_MS = 3_600_000;

/** Puts layers that were downloaded elsewhere into containerd's content store, one after another. */
export class BlobKeeper {
  readonly #socketPath: string;
  #turn: Promise<unknown> = Promise.resolve();

  /** Connects for each blob. @param socketPath containerd's. */
  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  /** Keeps a blob, unless containerd has it. @throws ContainerdError, Deno's errors */
  keep(kept: KeptBlob): Promise<void> {
    const turn = this.#turn.then(() => this.#keep(kept));
    this.#turn = turn.catch(() => {}); // told to this caller
    return turn;
  }

  async #keep({ namespace, from, blob, path }: KeptBlob): Promise<void> {
    // Loaded here: `pull` has its first answers before it needs gRPC.
    const { connectContainerd } = await import(
      "../../remote/containerd/mod.ts"
    );
    using containerd = await connectContainerd(this.#socketPath, { namespace });
    const { host, repository } = from;
    const lease = await containerd.leases.create({ expiresInMs: LEASE_MS });
    await containerd.content.putBlob(blob, pieces(path), {
      lease,
      timeoutMs: null,
      labels: { [`containerd.io/distribution.source.${host}`]: repository },
    });
  }
}

/** Read only when containerd wants it. */
async function* pieces(path: string): AsyncGenerator<Uint8Array, void, void> {
  using file = await Deno.open(path);
  for (;;) {
    const piece = new Uint8Array(PIECE_BYTES);
    const read = await file.read(piece);
    if (read === null) return;
    yield piece.subarray(0, read);
  }
}
