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

/** Blobs that one host sends whole at once. */
const AT_ONCE = 8;
/** Hosts that are bounded each by itself; image names choose them. */
const MAX_HOSTS = 1024;
/** This part of the disk stays free of layers that are downloaded whole. */
const DISK_RESERVE = 0.05;

/** Bytes that may still come onto the disk of a folder. @throws OsError */
export function diskRoom(folder: string): number {
  const { blocks, blocksAvailable, blockSizeBytes } = fileSystemUse(folder);
  return Math.max(0, blocksAvailable - blocks * DISK_RESERVE) * blockSizeBytes;
}

/** Layer blobs of registries, in parts or whole as their registry gives them. */
export class RegistryBlobs {
  readonly #gates = new Map<string, WeightedSemaphore>();

  /** Nothing is asked yet. @param client stays the caller's. @param folder where blobs go that can only be had whole; made when it is needed. */
  constructor(
    readonly client: RegistryClient,
    readonly folder: string,
  ) {}

  /**
   * A source of one blob.
   * @param size of the blob, bytes; asked for when it is needed.
   */
  source(
    repository: Repository,
    digest: Digest,
    size: () => number | Promise<number>,
  ): RegistrySpanSource {
    return new RegistrySpanSource(this, repository, digest, size);
  }

  /** The same blob, taken whole. */
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

/** A layer blob in a registry: in parts, until the registry turns out to give none. */
export class RegistrySpanSource implements SpanSource, Disposable {
  /** The repository's host: what is on its way is bounded by host, and by repository. */
  readonly host: string;
  readonly repository: string;
  #whole: Promise<WholeStream> | null = null;

  /** Nothing is asked yet. */
  constructor(
    private readonly blobs: RegistryBlobs,
    private readonly from: Repository,
    private readonly digest: Digest,
    private readonly size: () => number | Promise<number>,
  ) {
    this.host = from.host;
    this.repository = from.repository;
  }

  /** Fills `into` with bytes of the blob; they are not checked. @throws RegistryError, NotYetHere, NoRoomError */
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
      // The blob itself was refused (a login that ended): its registry may give parts as before.
      const refused = error instanceof RegistryError && whole.untouched;
      if (refused && this.#whole === taken) {
        this.#whole = null;
        whole[Symbol.dispose]();
      }
      throw error;
    }
  }

  /** One stream for all that is asked for. */
  #taken(): Promise<WholeStream> {
    const whole = this.#whole ??= this.#take();
    whole.catch(() => {
      if (this.#whole === whole) this.#whole = null; // the size may be told next time
    });
    return whole;
  }

  async #take(): Promise<WholeStream> {
    const size = await this.size();
    return this.blobs.whole(this.from, { digest: this.digest, size });
  }

  /** Ends a download that is under way. */
  [Symbol.dispose](): void {
    this.#whole?.then((whole) => whole[Symbol.dispose](), () => {});
  }
}

/** A repository, of whatever registry. */
export function nameOf({ host, repository }: Repository): string {
  return `${host}/${repository}`;
}
