import type {
  FromIndexer,
  IndexedLayer,
  IndexingReason,
  ToIndexer,
} from "./messages.ts";
import { ringMemory, RingWriter } from "./ring.ts";

/** A layer could not be indexed: its bytes are not what they claim, or the format forbids it. */
export class IndexingError extends Error {
  static {
    this.prototype.name = "IndexingError";
  }

  /** Says of a layer why it has no ztoc. @param reason what a caller would do differently about. */
  constructor(readonly reason: IndexingReason, message: string) {
    super(message);
  }
}

/** How a layer is read. */
export interface IndexLayerOptions {
  /** How the stream is packed; zstd is unpacked before. */
  readonly compression: "gzip" | "uncompressed";
  /** Least uncompressed bytes of a span. */
  readonly spanSizeBytes: number;
  /** Written into the ztoc. */
  readonly buildTool: string;
  /**
   * Whether the tar is hashed too (default `compute`); without it a layer takes a fifth less time.
   */
  readonly diffId?: "compute" | "skip";
  /** Told the number of compressed bytes each time some were handed to the Worker. */
  readonly onProgress?: (bytes: number) => void;
  /** Ends the pass: the Worker is stopped, and comes again with the next layer. */
  readonly signal?: AbortSignal;
}

/**
 * Frees a chunk at once: its few bytes of object are no reason for the garbage collector to run, so
 * 50 MB of them would pile up. One that is a view into something larger is left alone.
 */
function release({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) {
    buffer.transfer(0);
  }
}

/** One Worker that indexes one layer at a time, any number of them. */
export class LayerIndexer implements Disposable {
  readonly #worker: Worker;
  #receive: (message: FromIndexer) => void = () => {};
  #ring: RingWriter | null = null;
  /** What the Worker died of, maybe while nobody waited for it. */
  #fault: string | null = null;

  constructor() {
    this.#worker = new Worker(new URL("./worker.ts", import.meta.url), {
      type: "module",
      // Hostile layer bytes are handled here, so the Worker may touch nothing.
      deno: { permissions: "none" },
    });
    this.#worker.onmessage = ({ data }: MessageEvent<FromIndexer>) =>
      this.#receive(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#fault = event.message;
      this.#receive({
        kind: "failed",
        reason: "internal",
        message: event.message,
      });
    };
  }

  /**
   * Indexes one layer from a stream of its blob's bytes; its chunks are given up.
   * @throws IndexingError when the bytes cannot be indexed; the stream's own error, or the signal's
   * reason otherwise.
   */
  async index(
    stream: ReadableStream<Uint8Array>,
    options: IndexLayerOptions,
  ): Promise<IndexedLayer> {
    const { compression, spanSizeBytes, buildTool, signal } = options;
    if (this.#fault !== null) {
      await stream.cancel();
      throw new IndexingError("internal", this.#fault);
    }
    const finished = Promise.withResolvers<IndexedLayer | null>();
    finished.promise.catch(() => {}); // awaited below; the read loop may throw before
    const memory = ringMemory();
    const ring = this.#ring = new RingWriter(memory);
    this.#receive = (message) => {
      if (message.kind === "done") finished.resolve(message.layer);
      else if (message.kind === "dropped") finished.resolve(null);
      else if (message.kind === "failed") {
        ring.giveUp();
        finished.reject(new IndexingError(message.reason, message.message));
      }
    };
    const order: ToIndexer = {
      kind: "start",
      compression,
      spanSizeBytes,
      buildTool,
      diffId: options.diffId ?? "compute",
      ring: memory,
    };
    this.#worker.postMessage(order);
    try {
      for await (const chunk of stream) {
        signal?.throwIfAborted();
        if (!await ring.write(chunk)) break;
        options.onProgress?.(chunk.length);
        release(chunk);
      }
      ring.end();
      return (await finished.promise)!; // null only where the ring was given up
    } catch (error) {
      ring.giveUp();
      await finished.promise.catch(() => {}); // so that the Worker can take the next layer
      throw error;
    }
  }

  /** Stops the Worker. */
  [Symbol.dispose](): void {
    this.#ring?.giveUp(); // it may be asleep
    this.#worker.terminate();
  }
}
