import type { WindowBytes, ZtocCompression } from "../../formats/ztoc/mod.ts";
import {
  openThread,
  renewRing,
  ringMemory,
  RingWriter,
  type Thread,
  type ThreadKind,
} from "../../host/threads/mod.ts";
import type {
  FromIndexer,
  IndexedLayer,
  IndexingReason,
  ToIndexer,
} from "./messages.ts";
import { type ComingLayer, UnitsWriter } from "./units.ts";

/** A layer could not be indexed: its bytes are damaged, or the format does not allow it. */
export class IndexingError extends Error {
  static {
    this.prototype.name = "IndexingError";
  }

  /** The message says why the layer has no ztoc. @param reason what a caller can distinguish. */
  constructor(readonly reason: IndexingReason, message: string) {
    super(message);
  }
}

/** How a layer is read. */
export interface IndexLayerOptions {
  /** How the stream is compressed; zstd of one frame has to be decompressed before. */
  readonly compression: ZtocCompression;
  /** Minimum size of a span, uncompressed bytes. */
  readonly spanSizeBytes: number;
  /** Written into the ztoc. */
  readonly buildTool: string;
  /**
   * Whether the tar is hashed too (default `compute`); without it a layer takes a fifth less time.
   */
  readonly diffId?: "compute" | "skip";
  /** What is kept of the windows of a gzip layer. Default: all. */
  readonly windows?: WindowBytes;
  /** Path of a file that gets the layer's tar; only of an indexer that writes. Default: none does. */
  readonly data?: string;
  /** Called with the number of compressed bytes each time some were passed to the Worker. */
  readonly onProgress?: (bytes: number) => void;
  /** Takes a chunk that was read. Default: its memory is freed. */
  readonly release?: (chunk: Uint8Array) => void;
  /** Aborts the pass: the Worker is stopped, and started again with the next layer. */
  readonly signal?: AbortSignal;
}

/**
 * Frees a chunk's memory at once. The garbage collector sees only small objects and has no reason to
 * run, so 50 MB of chunks would pile up. A chunk that is a view into a larger buffer is left alone.
 */
function release({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) {
    buffer.transfer(0);
  }
}

/** Starts an indexing Worker. */
export function startIndexer(): Worker {
  return new Worker(new URL("./worker.ts", import.meta.url), {
    type: "module",
    // This Worker handles hostile bytes, so it has no permission at all.
    deno: { permissions: "none" },
  });
}

const PLAIN: ThreadKind = { name: "indexer", start: startIndexer };

/** One Worker that indexes one layer at a time, any number of them. */
export class LayerIndexer implements Disposable {
  readonly #thread: Thread<ToIndexer>;
  #receive: (message: FromIndexer) => void = () => {};
  /** For one layer after the other: the garbage collector is late to find such memory. */
  readonly #memory = ringMemory();
  #ring: RingWriter | null = null;
  /** Why the Worker died, perhaps while nobody waited for it. */
  #fault: string | null = null;

  /** Starts the Worker. @param kind default: one that only indexes. */
  constructor(kind: ThreadKind = PLAIN) {
    this.#thread = openThread<ToIndexer, FromIndexer>(kind, {
      message: (message) => this.#receive(message),
      broken: (message) => {
        this.#fault = message;
        this.#receive({ kind: "failed", reason: "internal", message });
      },
    });
  }

  /** Whether the Worker is gone, perhaps while it had nothing to do. */
  get isBroken(): boolean {
    return this.#fault !== null;
  }

  /**
   * Indexes one layer from a stream of its blob's bytes; takes ownership of the chunks.
   * @throws IndexingError when the bytes cannot be indexed; the stream's own error, or the signal's
   * reason otherwise.
   */
  async index(
    stream: ReadableStream<Uint8Array>,
    options: IndexLayerOptions,
  ): Promise<IndexedLayer> {
    const { signal } = options;
    if (this.#fault !== null) {
      await stream.cancel();
      throw new IndexingError("internal", this.#fault);
    }
    renewRing(this.#memory); // the Worker has answered for the layer before
    const ring = this.#ring = new RingWriter(this.#memory);
    const finished = this.#order(this.#memory, options, ring);
    try {
      for await (const chunk of stream) {
        signal?.throwIfAborted();
        if (!await ring.write(chunk)) break;
        options.onProgress?.(chunk.length);
        (options.release ?? release)(chunk);
      }
      ring.end();
      return (await finished)!; // null only after `giveUp`
    } catch (error) {
      ring.giveUp();
      await finished.catch(() => {}); // so that the Worker can take the next layer
      throw error;
    }
  }

  /**
   * Indexes a gzip layer whose units others inflate, by a Worker that may read its files. The layer's ztoc has the
   * files that are in the tar, and the units as its spans. Both digests are those of the tar.
   * @returns null where they gave up.
   * @throws IndexingError
   */
  async indexUnits(
    coming: ComingLayer,
    options: Omit<IndexLayerOptions, "data" | "signal" | "onProgress">,
  ): Promise<IndexedLayer | null> {
    if (this.#fault !== null) throw new IndexingError("internal", this.#fault);
    return await this.#order(coming, options, new UnitsWriter(coming));
  }

  #order(
    from: ToIndexer["from"],
    options: IndexLayerOptions,
    source: { giveUp(): void },
  ): Promise<IndexedLayer | null> {
    const finished = Promise.withResolvers<IndexedLayer | null>();
    finished.promise.catch(() => {}); // a read loop may throw before it is awaited
    this.#receive = (message) => {
      if (message.kind === "done") finished.resolve(message.layer);
      else if (message.kind === "dropped") finished.resolve(null);
      else if (message.kind === "failed") {
        source.giveUp();
        finished.reject(new IndexingError(message.reason, message.message));
      }
    };
    const { compression, spanSizeBytes, buildTool } = options;
    this.#thread.post({
      kind: "start",
      ...{ compression, spanSizeBytes, buildTool, from },
      diffId: options.diffId ?? "compute",
      windows: options.windows ?? "all",
      data: options.data ?? null,
    });
    return finished.promise;
  }

  /** Stops the Worker. */
  [Symbol.dispose](): void {
    this.#ring?.giveUp(); // it may be asleep
    this.#thread[Symbol.dispose]();
  }
}
