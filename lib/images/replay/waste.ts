import type { Digest } from "../../formats/oci/mod.ts";
import type { OpenLayer } from "../../layers/serving/mod.ts";
import { logger } from "../../telemetry/mod.ts";

const log = logger("images");

/** How often it is looked whether what a pack brought is being read, ms. */
const LOOK_MS = 15_000;
/** So many looks after the first read, a start is over. */
const LOOKS = 4;
/** A pack that nobody began to read is not watched any longer after so many looks. */
const MAX_LOOKS = 240;
/** Less than this is not worth a judgement, bytes. */
const LEAST_BYTES = 2 ** 20;
/** The most load orders that are remembered as wasteful. */
const MAX_WASTEFUL = 1024;

/** A replay as it is watched. */
export interface WatchedReplay {
  /** Of its load order. */
  readonly digest: Digest;
  /** The image's layers that are served. */
  readonly layers: readonly Pick<OpenLayer, "pack">[];
}

interface Watched {
  readonly replay: WatchedReplay;
  looks: number;
  /** Looks since somebody had begun to read. */
  readLooks: number;
}

/**
 * Remembers load orders that bring much that nobody reads: recorded of another workload, or of another
 * version. They are not used again before the daemon is started anew.
 */
export class WasteWatch implements Disposable {
  readonly #maxWaste: number;
  readonly #wasteful = new Set<Digest>();
  readonly #watched = new Set<Watched>();
  readonly #timer: ReturnType<typeof setInterval>;

  /** @param maxWaste the part of what came that may go unread, from 0 to 1. */
  constructor(maxWaste: number) {
    this.#maxWaste = maxWaste;
    this.#timer = setInterval(() => this.look(), LOOK_MS);
    Deno.unrefTimer(this.#timer);
  }

  /** Whether a load order brought too much in vain. */
  isWasteful(digest: Digest): boolean {
    return this.#wasteful.has(digest);
  }

  /** Judges a replay once its image has been started for a while. */
  watch(replay: WatchedReplay): void {
    this.#watched.add({ replay, looks: 0, readLooks: 0 });
  }

  /** Looks at all of them; called from time to time. */
  look(): void {
    for (const watched of this.#watched) {
      const { replay } = watched;
      const { arrivedBytes, readBytes } = useOf(replay);
      watched.looks++;
      if (readBytes > 0) watched.readLooks++;
      if (watched.readLooks < LOOKS && watched.looks < MAX_LOOKS) continue;
      this.#watched.delete(watched);
      if (watched.readLooks < LOOKS || arrivedBytes < LEAST_BYTES) continue;
      const waste = 1 - readBytes / arrivedBytes;
      if (waste <= this.#maxWaste) continue;
      if (this.#wasteful.size >= MAX_WASTEFUL) this.#wasteful.clear();
      this.#wasteful.add(replay.digest);
      log.warn(
        "most of what a start pack brought was not read: it is not used again; record the workload anew",
        { order: replay.digest, arrivedBytes, readBytes },
      );
    }
  }

  /** Looks no more. */
  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#watched.clear();
  }
}

function useOf(
  { layers }: WatchedReplay,
): { readonly arrivedBytes: number; readonly readBytes: number } {
  let arrivedBytes = 0;
  let readBytes = 0;
  for (const { pack: { use } } of layers) {
    arrivedBytes += use.arrivedBytes;
    readBytes += use.readBytes;
  }
  return { arrivedBytes, readBytes: Math.min(readBytes, arrivedBytes) };
}
