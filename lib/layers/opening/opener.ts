import { ztocOutline } from "../../formats/ztoc/mod.ts";
import { statIfThere } from "../../host/files/mod.ts";
import { freeBuffer } from "../../host/memory/mod.ts";
import {
  makeRest,
  type NewFiles,
  type RestOrder,
  type ZtocRest,
} from "../store/mod.ts";
import {
  type ChainOrder,
  chainRecord,
  type WriteOrder,
  writeRecord,
} from "./chain.ts";
import {
  chainBytes,
  leastOpeningBytes,
  mayBeLarge,
  openingBytes,
  type OpeningSize,
  sizeOf,
  SMALL_CHAIN_FILES,
} from "./cost.ts";
import { Allowance } from "./allowance.ts";
import { CostlyZtocError, OpeningError } from "./errors.ts";
import { type MadeLayer, makeLayer, type OpeningOrder } from "./make.ts";
import type { Done, ToOpener } from "./messages.ts";
import { atOnce, Turns } from "./turns.ts";
import { OpeningWorkers, type WorkersOptions } from "./workers.ts";

/** A ztoc on disk of at most this size is opened on the spot. */
const SMALL_ZTOC_BYTES = 256 * 1024;
/**
 * So many files of layers that are no longer small are opened on the spot in so long, ms: those of an image or two.
 * This thread answers readers, too, and is not to be kept busy by whoever pulls many.
 */
const FILES_HERE = 50_000;
const FILES_HERE_MS = 10_000;
/** A record of at most this size is written on the spot. */
const SMALL_RECORD_BYTES = 16 * 1024;

/** How layers are opened. */
export interface OpenerOptions extends WorkersOptions {}

/** How one layer is opened. */
export interface OpenOptions {
  /** Who wants it: each has a turn after the other. */
  readonly share: string;
  /** `refused`: a ztoc of more than the bound is; `alone`: it is opened while nothing else is. */
  readonly costly: "refused" | "alone";
  /** Told once, before the layer is there, what is to be put on disk. */
  readonly onFiles: (files: NewFiles) => void;
}

/**
 * Opens layers: small ones on the spot, others in a few Workers, so that none holds the main thread for
 * long. What is opened at a time takes no more memory than `maxBytes`; a cost is known before any work
 * is done.
 */
export class LayerOpener implements Disposable {
  readonly #maxBytes: number;
  readonly #workers: OpeningWorkers;
  /** Of this thread. */
  readonly #turns = new Turns();
  /** Files that may be looked at here. */
  readonly #filesHere = new Allowance(FILES_HERE, FILES_HERE_MS);
  /** Large layers that were said to come since the last image. */
  #expected = 0;

  /** Starts no Worker yet. */
  constructor(options: OpenerOptions) {
    this.#maxBytes = options.maxBytes;
    this.#workers = new OpeningWorkers(options);
  }

  /** Number of Workers that are up. */
  get workers(): number {
    return this.#workers.count;
  }

  /** Layers of an image will be opened soon. */
  expectImage(): void {
    this.#expected = 0;
  }

  /**
   * A layer will be opened soon whose ztoc has that size: what takes time to start is started.
   * @param headBytes of the ztoc's compressed head; null where it is not known.
   * @throws CostlyZtocError when it would be refused, whatever is in it.
   */
  expect(ztocBytes: number, headBytes: number | null): void {
    this.#assertAllowed(leastOpeningBytes(ztocBytes));
    if (!mayBeLarge(ztocBytes, headBytes)) return;
    this.#expected++;
    this.#workers.wake(this.#expected > 1 ? "much" : "some");
  }

  #assertAllowed(costBytes: number): void {
    if (costBytes > this.#maxBytes) {
      throw new CostlyZtocError(costBytes, this.#maxBytes);
    }
  }

  /**
   * Makes what a layer is served with. A ztoc that is given as bytes is the opener's from then on.
   * @throws CostlyZtocError, OpeningError, and as `makeLayer`
   */
  async open(order: OpeningOrder, options: OpenOptions): Promise<MadeLayer> {
    const cost = costOf(order);
    const { costBytes } = cost;
    if (options.costly === "refused") this.#assertAllowed(costBytes);
    const { share, onFiles } = options;
    if (cost.size === "small") {
      return await this.#here(share, () => makeLayer(order, onFiles));
    }
    const { layer, files: { isNew, files } } = this.#isForHere(cost)
      ? await this.#hereAlone(order, share)
      : await this.#run({ kind: "layer", order }, share, costBytes);
    onFiles({ isNew, files: files.map((file) => ({ ...file, isSole: true })) });
    return layer;
  }

  /**
   * Makes what is left of a layer that was opened by a head. @param share who wants it.
   * @returns the ztoc, whose buffer may be another one now, and what was made of it
   * @throws OpeningError, and as `makeRest`
   */
  async rest(
    order: RestOrder,
    share: string,
  ): Promise<{ bytes: Uint8Array<ArrayBuffer>; rest: ZtocRest }> {
    const { bytes } = order;
    const cost = costOfZtoc(bytes);
    if (this.#isForHere(cost)) {
      return { bytes, rest: await this.#here(share, () => makeRest(order)) };
    }
    const { costBytes } = cost;
    return await this.#run({ kind: "rest", order }, share, costBytes);
  }

  /**
   * The record of a chain's own directories; null when the layers show all that is right.
   * @param options.files of all layers of the chain together. @param options.topFiles of the uppermost.
   * @throws ChainTooLargeError, OpeningError; Error when a tree cannot be read.
   */
  async chainRecord(
    order: ChainOrder,
    options: {
      readonly share: string;
      readonly files: number;
      readonly topFiles: number;
    },
  ): Promise<string | null> {
    const { share, files, topFiles } = options;
    // Trees are read; of the uppermost one, directories are looked up in all others.
    const looks = topFiles * order.below.length;
    if (files + looks <= SMALL_CHAIN_FILES) {
      return await this.#here(share, () => atOnce(() => chainRecord(order)));
    }
    const cost = chainBytes(files);
    return (await this.#run({ kind: "chain", order }, share, cost)).record;
  }

  /** Makes a chain's own directories, on disk when it resolves. @throws OpeningError, OsError, FileError */
  async writeChain(order: WriteOrder, share: string): Promise<void> {
    if (order.record.length <= SMALL_RECORD_BYTES) {
      return await this.#here(share, () => atOnce(() => writeRecord(order)));
    }
    await this.#run({ kind: "write", order }, share, 0);
  }

  /** Whether a layer is opened in this thread. */
  #isForHere({ size, files }: Cost): boolean {
    return size === "small" ||
      (size === "medium" && this.#filesHere.take(files));
  }

  /** In this thread; the buffers of what is made are nobody else's then. */
  async #hereAlone(
    order: OpeningOrder,
    share: string,
  ): Promise<{ layer: MadeLayer; files: NewFiles }> {
    let files: NewFiles = { isNew: false, files: [] };
    const layer = await this.#here(
      share,
      () => makeLayer(order, (found) => files = found),
    );
    // Some MB of zeros, which the collector would find late.
    if (order.ztoc.kind === "head") freeBuffer(order.ztoc.bytes.buffer);
    return { layer, files };
  }

  /** In this thread. */
  #here<T>(
    share: string,
    makeSteps: () => Generator<void, T, void>,
  ): Promise<T> {
    return this.#turns.run(share, () => {
      this.#workers.assertOpen();
      return makeSteps();
    });
  }

  async #run<M extends ToOpener>(
    message: M,
    share: string,
    costBytes: number,
  ): Promise<Extract<Done, { kind: M["kind"] }>> {
    const done = await this.#workers.run(message, share, costBytes);
    if (done.kind === message.kind) {
      return done as Extract<Done, { kind: M["kind"] }>;
    }
    throw new OpeningError(`a Worker gave a ${done.kind}`);
  }

  /** Stops the Workers; what is being opened fails. */
  [Symbol.dispose](): void {
    this.#workers[Symbol.dispose]();
  }
}

/** What an order costs. */
interface Cost {
  /** Memory, at most. */
  readonly costBytes: number;
  readonly size: OpeningSize;
  readonly files: number;
}

function costOfZtoc(bytes: Uint8Array): Cost {
  const outline = ztocOutline(bytes);
  return {
    costBytes: openingBytes(bytes.length, outline),
    size: sizeOf(bytes.length, outline),
    files: outline.entries,
  };
}

function costOf({ path, ztoc }: OpeningOrder): Cost {
  if (ztoc.kind !== "folder") return costOfZtoc(ztoc.bytes);
  const size = statIfThere(`${path}/ztoc`)?.size ?? 0;
  // Most likely its tree and its table are there, and are only read: more is not known beforehand.
  const unread = { entries: 0, spans: 0, checkpointBytes: 0 };
  return {
    costBytes: openingBytes(size, unread),
    size: size <= SMALL_ZTOC_BYTES ? "small" : "large",
    files: 0,
  };
}
