import type { Digest } from "../../formats/oci/mod.ts";
import { fileSystemUse } from "../../host/mounting/mod.ts";
import type { SpanSource } from "../../layers/spans/mod.ts";
import {
  type RegistryClient,
  RegistryError,
  type Repository,
} from "../../remote/registry/mod.ts";
import { WeightedSemaphore } from "./weighted_semaphore.ts";
import { WholeStream } from "./whole_stream.ts";

/** The most whole-blob downloads from one host at a time. */
const AT_ONCE = 8;
/** The most hosts with a semaphore of their own; image names determine them. */
const MAX_HOSTS = 1024;
/** The part of the disk that whole layers may not fill. */
const DISK_RESERVE = 0.05;

/** How many more bytes may go onto a folder's disk. @throws OsError */
export function diskRoom(folder: string): number {
  const { blocks, blocksAvailable, blockSizeBytes } = fileSystemUse(folder);
  return Math.max(0, blocksAvailable - blocks * DISK_RESERVE) * blockSizeBytes;
}

/** Layer blobs of registries, read by ranges or downloaded whole, as the registry allows. */
export class RegistryBlobs {
  readonly #gates = new Map<string, WeightedSemaphore>();

  /**
   * Sends no request yet. @param client owned by the caller. @param folder for blobs that can only
   * be fetched whole; made when needed.
   */
  constructor(
    readonly client: RegistryClient,
    readonly folder: string,
  ) {}

  /**
   * Makes a source for one blob.
   * @param size gives the blob's size, bytes; called when it is needed.
   */
  source(
    repository: Repository,
    digest: Digest,
    size: () => number | Promise<number>,
  ): RegistrySpanSource {
    return new RegistrySpanSource(this, repository, digest, size);
  }

  /** Makes a stream of one blob, downloaded whole. */
  whole(
    repository: Repository,
    blob: { readonly digest: Digest; readonly size: number },
  ): WholeStream {
    const { client, folder } = this;
    Deno.mkdirSync(folder, { recursive: true, mode: 0o700 });
    if (this.#gates.size >= MAX_HOSTS) this.#gates.clear();
    const gate = this.#gates.getOrInsertComputed(
      repository.host,
      () => new WeightedSemaphore(AT_ONCE),
    );
    const room = () => diskRoom(folder);
    return new WholeStream({ client, repository, blob, folder, room, gate });
  }
}

/** A layer blob in a registry. Read by ranges, until the registry turns out to give none. */
export class RegistrySpanSource implements SpanSource, Disposable {
  /** The repository's host. Bytes in flight are bounded per host and per repository. */
  readonly host: string;
  readonly repository: string;
  #whole: Promise<WholeStream> | null = null;

  /** Sends no request yet. */
  constructor(
    private readonly blobs: RegistryBlobs,
    private readonly from: Repository,
    private readonly digest: Digest,
    private readonly size: () => number | Promise<number>,
  ) {
    this.host = from.host;
    this.repository = from.repository;
  }

  /**
   * Fills `into` with bytes of the blob, unverified. @throws RegistryError, NotYetHere, NoRoomError
   */
  async fetch(
    start: number,
    end: number,
    into: Uint8Array<ArrayBuffer>,
    signal: AbortSignal,
    onProgress?: (filled: number) => void,
  ): Promise<void> {
    if (this.#whole === null) {
      try {
        return await this.blobs.client.range(
          this.from,
          this.digest,
          start,
          end,
          into,
          signal,
          onProgress,
        );
      } catch (error) {
        if (!(error instanceof RegistryError && error.kind === "range")) {
          throw error;
        }
      }
    }
    const taken = this.#taken();
    const whole = await taken;
    signal.throwIfAborted();
    try {
      await whole.fetch(start, end, into, signal, onProgress);
    } catch (error) {
      // The blob itself was refused (an expired login). The registry may still give ranges.
      const refused = error instanceof RegistryError && whole.untouched;
      if (refused && this.#whole === taken) {
        this.#whole = null;
        whole[Symbol.dispose]();
      }
      throw error;
    }
  }

  /** One stream for all callers (single flight). */
  #taken(): Promise<WholeStream> {
    const whole = this.#whole ??= this.#take();
    whole.catch(() => {
      if (this.#whole === whole) this.#whole = null; // getting the size may work next time
    });
    return whole;
  }

  async #take(): Promise<WholeStream> {
    const size = await this.size();
    return this.blobs.whole(this.from, { digest: this.digest, size });
  }

  /** Ends a download in progress. */
  [Symbol.dispose](): void {
    this.#whole?.then((whole) => whole[Symbol.dispose](), () => {});
  }
}

/** A repository's full name: host and path. */
export function nameOf({ host, repository }: Repository): string {
  return `${host}/${repository}`;
}
