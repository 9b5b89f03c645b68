import type { FromIndexer, IndexedLayer, ToIndexer } from "./messages.ts";

/** A layer could not be indexed: its bytes are not what they claim, or the format forbids it. */
export class IndexingError extends Error {
  override readonly name = "IndexingError";
}

/** How a layer is read. */
export interface IndexLayerOptions {
  readonly compression: "gzip" | "uncompressed";
  /** Least uncompressed bytes of a span. */
  readonly spanSizeBytes: number;
  /** Written into the ztoc. */
  readonly buildTool: string;
  /** Told the number of compressed bytes each time some were indexed. */
  readonly onProgress?: (bytes: number) => void;
  readonly signal?: AbortSignal;
}

/** Compressed bytes on their way to a Worker: enough to keep it busy, little enough to bound memory. */
const MAX_IN_FLIGHT_BYTES = 8 * 2 ** 20;

/** One Worker that indexes one layer at a time. */
export class LayerIndexer implements Disposable {
  readonly #worker: Worker;
  #receive: (message: FromIndexer) => void = () => {};

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
      this.#receive({ kind: "failed", message: event.message });
    };
  }

  /**
   * Indexes one layer from a stream of its blob's bytes.
   * @throws IndexingError when the bytes cannot be indexed; the stream's own error otherwise.
   */
  async index(
    stream: ReadableStream<Uint8Array>,
    options: IndexLayerOptions,
  ): Promise<IndexedLayer> {
    const finished = Promise.withResolvers<IndexedLayer>();
    finished.promise.catch(() => {}); // awaited below; the read loop may throw before
    let inFlightBytes = 0;
    let failed = false;
    let wake = Promise.withResolvers<void>();
    this.#receive = (message) => {
      if (message.kind === "consumed") {
        inFlightBytes -= message.bytes;
        options.onProgress?.(message.bytes);
      } else if (message.kind === "done") {
        finished.resolve(message.layer);
      } else if (message.kind === "failed") {
        failed = true;
        finished.reject(new IndexingError(message.message));
      }
      wake.resolve();
    };
    this.#send({
      kind: "start",
      compression: options.compression,
      spanSizeBytes: options.spanSizeBytes,
      buildTool: options.buildTool,
    });
    for await (const chunk of stream) {
      options.signal?.throwIfAborted();
      // A view into a larger buffer is copied, because a transfer would take the whole buffer.
      const owned = chunk.byteLength === chunk.buffer.byteLength
        ? chunk
        : chunk.slice();
      const bytes = owned as Uint8Array<ArrayBuffer>;
      inFlightBytes += bytes.length;
      this.#send({ kind: "chunk", bytes }, [bytes.buffer]);
      while (inFlightBytes > MAX_IN_FLIGHT_BYTES && !failed) {
        await wake.promise;
        wake = Promise.withResolvers<void>();
      }
      if (failed) break;
    }
    this.#send({ kind: "end" });
    return await finished.promise;
  }

  #send(message: ToIndexer, transfer: Transferable[] = []): void {
    this.#worker.postMessage(message, transfer);
  }

  /** Stops the Worker. */
  [Symbol.dispose](): void {
    this.#worker.terminate();
  }
}
