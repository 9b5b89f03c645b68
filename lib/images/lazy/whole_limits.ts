import { availableParallelism } from "node:os";
import { ReusedBlocks } from "../../host/memory/mod.ts";
import { FairSemaphore } from "./fair_semaphore.ts";
import { KeyedSemaphores } from "./keyed_semaphores.ts";
import { WeightedSemaphore } from "./weighted_semaphore.ts";

/** How much may be done at a time of layers that are taken whole. */
export interface WholeLimits {
  /** Requests in all. */
  readonly downloads: number;
  /** Requests of one image. */
  readonly downloadsPerImage: number;
  /** Bytes of one request; Infinity: a layer is one request. */
  readonly chunkBytes: number;
  /** Layers that are inflated, in all. */
  readonly unpacks: number;
  /** Of one image. */
  readonly unpacksPerImage: number;
}

/** As fast as a registry and this machine's cores let it be. */
export const FAST_LIMITS: WholeLimits = {
  downloads: 32,
  downloadsPerImage: 16,
  chunkBytes: 4 * 2 ** 20,
  unpacks: Infinity,
  unpacksPerImage: Infinity,
};

/** More requests at a time than this no registry gets. */
export const REQUESTS_PER_HOST = 24;
/** The largest request: its bytes are held until they are on disk. */
export const MAX_CHUNK_BYTES = 16 * 2 ** 20;
/** Bytes of requests in flight, of one image: these, or four requests'. Of all images together half as much again. */
const IN_FLIGHT_BYTES = 24 * 2 ** 20;
/** Bytes of all images that came, and wait in memory for the Worker that inflates their layer. */
const HELD_BYTES = 32 * 2 ** 20;
/** Parts of downloads that have come are read from their files into the memory of so many requests. */
const READING_BLOCKS = 2;
/** Of "any number": the Workers that inflate have some 30 MiB each. */
const ANY_UNPACKS = 4;
/** Whoever asks for more has the memory. */
const MOST_UNPACKS = 8;

/** Workers that inflate at a time: no more than there are cores, which each of them fills. */
export function unpackWorkers({ unpacks }: WholeLimits): number {
  const most = unpacks === Infinity ? ANY_UNPACKS : MOST_UNPACKS;
  return Math.min(unpacks, most, Math.max(2, availableParallelism()));
}

/** Whose a request is. */
export interface Requester {
  /** Names the image and who it speaks for. */
  readonly image: string;
  /** Of the registry. */
  readonly host: string;
}

/** Lets requests and layers through, as many as the limits say. */
export class WholeGates {
  readonly #perImage: KeyedSemaphores;
  readonly #perHost = new KeyedSemaphores(REQUESTS_PER_HOST);
  readonly #all: WeightedSemaphore;
  readonly #bytes: FairSemaphore;
  readonly #unpacks: KeyedSemaphores;
  /** Of requests that are parts of a layer. */
  readonly #memory: ReusedBlocks;
  #requests = 0;
  #downloads = 0;
  #held = 0;

  /** Lets everything through at first. */
  constructor(limits: WholeLimits) {
    const { chunkBytes } = limits;
    this.#memory = chunkBytes === Infinity
      ? new ReusedBlocks(0, 0) // there are none
      : new ReusedBlocks(
        chunkBytes,
        Math.ceil((IN_FLIGHT_BYTES + HELD_BYTES) / chunkBytes),
      );
    this.#perImage = new KeyedSemaphores(limits.downloadsPerImage);
    // In turn: no image has more in there than it may have at a time.
    this.#all = new WeightedSemaphore(limits.downloads);
    const four = limits.chunkBytes === Infinity ? 0 : 4 * limits.chunkBytes;
    this.#bytes = new FairSemaphore(Math.max(IN_FLIGHT_BYTES, four));
    this.#unpacks = new KeyedSemaphores(limits.unpacksPerImage);
  }

  /** Runs one request of so many bytes, which are in memory meanwhile. */
  request<T>(
    { image, host }: Requester,
    bytes: number,
    work: () => Promise<T>,
  ): Promise<T> {
    return this.#perImage.run(
      image,
      1,
      () =>
        this.#perHost.run(
          host,
          1,
          // What waits for memory takes no place of a request.
          () =>
            this.#bytes.run(
              image,
              bytes,
              () => this.#all.run(1, () => this.#counted(work)),
            ),
        ),
    );
  }

  async #counted<T>(work: () => Promise<T>): Promise<T> {
    this.#requests++;
    try {
      return await work();
    } finally {
      this.#requests--;
      this.#trim();
    }
  }

  /** Frees memory that requests had, as far as nobody has a use for it now. */
  #trim(): void {
    if (this.#requests > 0) return;
    this.#memory.trim(this.#downloads > 0 ? READING_BLOCKS : 0);
  }

  /** Until it is disposed of there is a download, of which parts come or are read. */
  download(): Disposable {
    this.#downloads++;
    const done = new DisposableStack();
    done.defer(() => {
      this.#downloads--;
      this.#trim();
    });
    return done;
  }

  /** Memory for so many bytes of a request; it need not be new. */
  take(bytes: number): Uint8Array<ArrayBuffer> {
    return this.#memory.take(bytes);
  }

  /** Takes such memory back. It is kept as long as there are requests to use it, and some of it for those who read. */
  give(memory: Uint8Array): void {
    this.#memory.give(memory);
    this.#trim();
  }

  /** Room for bytes that wait in memory, until it is disposed of; null: there is none. */
  hold(bytes: number): Disposable | null {
    if (this.#held + bytes > HELD_BYTES) return null;
    this.#held += bytes;
    return { [Symbol.dispose]: () => void (this.#held -= bytes) };
  }

  /** Runs what inflates a layer. */
  unpack<T>({ image }: Requester, work: () => Promise<T>): Promise<T> {
    return this.#unpacks.run(image, 1, work);
  }
}
