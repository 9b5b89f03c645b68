import type { ThreadKind } from "../../host/threads/mod.ts";
import {
  IndexingError,
  type IndexLayerOptions,
  LayerIndexer,
} from "./indexer.ts";
import type { IndexedLayer } from "./messages.ts";

/**
 * Indexers for several layers at once. A Worker is started when it is first needed, and reused: its
 * start takes 50 ms, longer than indexing many a layer.
 */
export class IndexerPool implements Disposable {
  readonly #idle: LayerIndexer[] = [];
  readonly #all = new Set<LayerIndexer>();
  readonly #waiting: Array<() => void> = [];

  /**
   * Starts no Worker yet.
   * @throws RangeError when the size is not a whole number of at least 1.
   * @param size the most layers indexed concurrently; further ones wait.
   * @param kind of Worker. Default: one that only indexes.
   */
  constructor(
    readonly size: number,
    readonly kind?: ThreadKind,
  ) {
    if (!Number.isSafeInteger(size) || size < 1) {
      throw new RangeError(`a pool of ${size} indexers`);
    }
  }

  /** Like `LayerIndexer.index`, as soon as a Worker is free. The stream is not read before that. */
  async index(
    stream: ReadableStream<Uint8Array>,
    options: IndexLayerOptions,
  ): Promise<IndexedLayer> {
    return await this.#with((indexer) => indexer.index(stream, options));
  }

  /** Like `LayerIndexer.indexUnits`, as soon as a Worker is free. */
  async indexUnits(
    ...of: Parameters<LayerIndexer["indexUnits"]>
  ): Promise<IndexedLayer | null> {
    return await this.#with((indexer) => indexer.indexUnits(...of));
  }

  async #with<T>(work: (indexer: LayerIndexer) => Promise<T>): Promise<T> {
    const indexer = await this.#take();
    try {
      return await work(indexer);
    } catch (error) {
      // The Worker may be gone: the next layer gets a new one.
      if (error instanceof IndexingError && error.reason === "internal") {
        this.#drop(indexer);
      }
      throw error;
    } finally {
      if (this.#all.has(indexer)) this.#idle.push(indexer);
      this.#waiting.shift()?.();
    }
  }

  async #take(): Promise<LayerIndexer> {
    for (;;) {
      const idle = this.#idle.pop();
      if (idle?.isBroken === true) {
        this.#drop(idle);
        continue;
      }
      if (idle !== undefined) return idle;
      if (this.#all.size < this.size) {
        const indexer = new LayerIndexer(this.kind);
        this.#all.add(indexer);
        return indexer;
      }
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  #drop(indexer: LayerIndexer): void {
    this.#all.delete(indexer);
    indexer[Symbol.dispose]();
  }

  /** Stops the Workers. */
  [Symbol.dispose](): void {
    for (const indexer of this.#all) indexer[Symbol.dispose]();
    this.#all.clear();
  }
}

/**
 * Layers with their positions, the largest first. A large layer that starts last would run alone while
 * the other Workers have nothing left to do.
 */
export function largestFirst<L extends { readonly size: number }>(
  layers: readonly L[],
): Array<[at: number, layer: L]> {
  return [...layers.entries()].sort(([, a], [, b]) => b.size - a.size);
}
