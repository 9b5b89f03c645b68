/** Messages between the main isolate and the Worker that hashes whole layers. @module */

/** The end of a layer's stream that its ztoc does not cover: padding after the tar's end marker. */
export type LayerTail =
  /** Compressed bytes from the last span's beginning to the blob's end. */
  | {
    readonly kind: "gzip";
    readonly compressed: Uint8Array<ArrayBuffer>;
    readonly bits: number;
    readonly window: Uint8Array<ArrayBuffer>;
    /** Bytes of the last span that are in the data file. */
    readonly skip: number;
  }
  /** The same of a layer of zstd frames. */
  | {
    readonly kind: "zstd";
    readonly compressed: Uint8Array<ArrayBuffer>;
    readonly skip: number;
  }
  /** The bytes themselves. */
  | { readonly kind: "plain"; readonly bytes: Uint8Array<ArrayBuffer> };

/** First the file, then maybe the tail after it. */
export type WholeLayerQuestion =
  | {
    readonly kind: "file";
    readonly path: string;
    readonly sizeBytes: number;
  }
  | { readonly kind: "tail"; readonly tail: LayerTail };

/** The digest of everything sent so far, or why there is none. */
export interface WholeLayerResult {
  readonly digest: string | null;
  readonly error: string | null;
}
