/**
 * What the main isolate and an indexing Worker say to each other. One Worker indexes one layer at a
 * time: `start`, any number of `chunk`, `end`; it answers each chunk with `consumed` (so that no
 * more than a bounded number of bytes is ever in flight) and closes with `done` or `failed`.
 * @module
 */

/** To the Worker. A chunk's buffer is transferred: the sender gives it up. */
export type ToIndexer =
  | {
    readonly kind: "start";
    readonly compression: "gzip" | "uncompressed";
    readonly spanSizeBytes: number;
    readonly buildTool: string;
  }
  | { readonly kind: "chunk"; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly kind: "end" };

/** From the Worker. */
export type FromIndexer =
  | { readonly kind: "ready" }
  | { readonly kind: "consumed"; readonly bytes: number }
  | { readonly kind: "done"; readonly layer: IndexedLayer }
  | { readonly kind: "failed"; readonly message: string };

/** What one pass over a layer yields. */
export interface IndexedLayer {
  /** The serialised ztoc. */
  readonly ztoc: Uint8Array<ArrayBuffer>;
  /** `sha256:…` of the compressed bytes that went in. */
  readonly digest: string;
  /** `sha256:…` of the whole uncompressed stream. */
  readonly diffId: string;
  readonly spanCount: number;
  readonly entryCount: number;
  /** Bytes of the layer blob. */
  readonly compressedSizeBytes: number;
  /** Bytes of the tar. */
  readonly uncompressedSizeBytes: number;
}
