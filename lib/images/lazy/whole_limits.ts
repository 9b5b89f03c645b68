import { availableParallelism } from "node:os";
import { ReusedBlocks } from "../../host/memory/mod.ts";
import type { RequestTurn } from "./gated_range.ts";
import {
  PartQueue,
  type Queued,
  type QueuedLayer,
  type Requester,
} from "./part_queue.ts";
import { type WaitingLayer, WorkerTurns } from "./worker_turns.ts";

export type { Requester } from "./part_queue.ts";

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
/** Bytes of one image that are asked for, or came and wait in memory for their Worker: these, or three requests'. */
const PLACE_BYTES = 40 * 2 ** 20;
/** Of these, of layers that have no Worker: these, or one request's. A Worker that comes goes on without a wait. */
const AHEAD_BYTES = 16 * 2 ** 20;
/** Of what hangs nothing came for so long, ms. */
const HANGS_AFTER_MS = 5_000;
/** Parts of downloads that have come are read from their files into the memory of so many requests. */
const READING_BLOCKS = 2;
/** Of "any number": the Workers that inflate have some 30 MiB each. */
const ANY_UNPACKS = 4;
/** Workers beyond these, of layers that stopped coming, unless the configuration says how many there are. */
const LENT = 2;
/** Whoever asks for more has the memory. */
const MOST_UNPACKS = 8;

/** Workers that inflate at a time: no more than there are cores, which each of them fills. */
export function unpackWorkers({ unpacks }: WholeLimits): number {
  const most = unpacks === Infinity ? ANY_UNPACKS : MOST_UNPACKS;
  return Math.min(unpacks, most, Math.max(2, availableParallelism()));
}

/** Workers that there are: some may have a layer that hangs. */
export function mostUnpackWorkers(limits: WholeLimits): number {
  return unpackWorkers(limits) + (limits.unpacks === Infinity ? LENT : 0);
}

/** Lets requests and layers through, as many as the limits say, in the order that is of most use. */
export class WholeGates {
  readonly #queue: PartQueue;
  readonly #workers: WorkerTurns;
  /** Of requests that are parts of a layer. */
  readonly #memory: ReusedBlocks;
  /** After so long a layer's Worker is lent to another one. */
  readonly #hangsAfterMs: number;
  #downloads = 0;

  /** Lets everything through at first. @param hangsAfterMs nothing came for so long of what hangs. */
  constructor(limits: WholeLimits, hangsAfterMs = HANGS_AFTER_MS) {
    this.#hangsAfterMs = limits.unpacks === Infinity ? hangsAfterMs : Infinity;
    const { chunkBytes } = limits;
    const part = chunkBytes === Infinity ? 0 : chunkBytes;
    const inFlightBytes = Math.max(IN_FLIGHT_BYTES, 4 * part);
    const placeBytes = Math.max(PLACE_BYTES, 3 * part);
    this.#memory = part === 0
      ? new ReusedBlocks(0, 0) // there are none
      : new ReusedBlocks(part, Math.ceil(placeBytes / part));
    const workers = unpackWorkers(limits);
    const workersPerImage = Math.min(workers, limits.unpacksPerImage);
    this.#workers = new WorkerTurns(workers, workersPerImage);
    this.#queue = new PartQueue({
      requests: limits.downloads,
      requestsPerImage: limits.downloadsPerImage,
      requestsPerHost: REQUESTS_PER_HOST,
      aheadBytes: Math.max(AHEAD_BYTES, part),
      ...{ inFlightBytes, placeBytes, workersPerImage, hangsAfterMs },
    });
  }

  /**
   * Runs one request of so many bytes, which are in memory meanwhile, as soon as there is room for it. A Worker waits
   * for it. It runs once more where it lost its turn.
   */
  request<T>(
    requester: Requester,
    bytes: number,
    work: (turn: RequestTurn) => Promise<T>,
  ): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    let isAsked = false;
    const queued = this.#queue.join({
      ...{ requester, sizeBytes: Number.MAX_SAFE_INTEGER },
      ...{ isActive: true, readRate: 0, unreadBytes: 0, unaskedBytes: 0 },
      next: () => isAsked ? null : { bytes, isFiled: true, isFirst: true },
      begin: async (_part, _place, lost) => {
        isAsked = true;
        try {
          resolve(await work({ lost, came: queued.came }));
        } catch (error) {
          isAsked = !lost.aborted;
          if (!isAsked) return;
          reject(error);
        }
        queued[Symbol.dispose]();
      },
    });
    return promise;
  }

  /** Frees memory that requests had, as far as nobody has a use for it now. */
  #trim(): void {
    if (this.#queue.requests > 0) return;
    this.#memory.trim(this.#downloads > 0 ? READING_BLOCKS : 0);
  }

  /** Bytes that have a place in memory, of all images. */
  get placeBytes(): number {
    return this.#queue.placeBytes;
  }

  /** Parts of a layer are asked for, until it is disposed of. */
  join(layer: QueuedLayer): Queued {
    return this.#queue.join(layer);
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

  /**
   * Runs what inflates a layer, when it is its turn. @param waitsMs for how long its Worker has waited for a byte; it is
   * asked while others wait.
   */
  unpack<T>(
    { waitsMs, ...layer }: Omit<WaitingLayer, "hangs"> & {
      readonly waitsMs?: () => number;
    },
    work: () => Promise<T>,
  ): Promise<T> {
    const hangs = () => (waitsMs?.() ?? 0) >= this.#hangsAfterMs;
    return this.#workers.run({ ...layer, hangs }, work);
  }
}
