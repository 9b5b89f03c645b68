import { logger } from "../../telemetry/mod.ts";
import { type CountedReplay, figuresOf } from "./figures.ts";

const log = logger("images");

/** How often it is looked whether what a pack brought is being read, ms. */
const LOOK_MS = 15_000;
/** So many looks after the first read, a start is over. */
const LOOKS = 4;
/** What nobody began to read is not watched any longer after so many looks. */
const MAX_LOOKS = 240;
/** Less than this is not worth a judgement, bytes. */
const LEAST_BYTES = 2 ** 20;
/** The most images and load orders that are remembered as wasteful. */
const MAX_WASTEFUL = 1024;

interface Watched {
  readonly replay: CountedReplay;
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
  readonly #wasteful = new Set<string>();
  readonly #watched = new Set<Watched>();
  readonly #timer: ReturnType<typeof setInterval>;

  /** @param maxWaste the part of what came that may go unread, from 0 to 1. @param lookMs default: 15 s. */
  constructor(maxWaste: number, lookMs = LOOK_MS) {
    this.#maxWaste = maxWaste;
    this.#timer = setInterval(() => this.look(), lookMs);
    Deno.unrefTimer(this.#timer);
  }

  /** Whether a load order brought too much in vain for an image. Others may name the same one, and read it. */
  isWasteful(replay: Pick<CountedReplay, "image" | "digest">): boolean {
    return this.#wasteful.has(keyOf(replay));
  }

  /** Judges a replay once its image has been started for a while. */
  watch(replay: CountedReplay): void {
    this.#watched.add({ replay, looks: 0, readLooks: 0 });
  }

  /** Looks at all of them; called from time to time. */
  look(): void {
    for (const watched of this.#watched) {
      const { replay } = watched;
      const { pack, spans } = figuresOf(replay);
      const broughtBytes = pack.broughtBytes + spans.broughtBytes;
      const wastedBytes = pack.wastedBytes + spans.wastedBytes;
      watched.looks++;
      if (wastedBytes < broughtBytes) watched.readLooks++;
      if (watched.readLooks < LOOKS && watched.looks < MAX_LOOKS) continue;
      this.#watched.delete(watched);
      if (watched.readLooks < LOOKS || broughtBytes < LEAST_BYTES) continue;
      if (wastedBytes <= this.#maxWaste * broughtBytes) continue;
      if (this.#wasteful.size >= MAX_WASTEFUL) this.#wasteful.clear();
      this.#wasteful.add(keyOf(replay));
      log.warn(
        "most of what a load order brought was not read: it is not used again; record the workload anew",
        {
          image: replay.image,
          order: replay.digest,
          broughtBytes,
          wastedBytes,
        },
      );
    }
  }

  /** Looks no more. */
  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#watched.clear();
  }
}

function keyOf({ image, digest }: Pick<CountedReplay, "image" | "digest">) {
  return `${image} ${digest}`;
}
