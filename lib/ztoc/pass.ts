import type { Digest } from "../oci/mod.ts";

/** What reading a whole layer blob tells of its spans. */
export interface PassResult {
  readonly compressedSize: number;
  readonly spanDigests: readonly Digest[];
  readonly checkpoints: Uint8Array;
}

/** One way of packing: takes the blob's bytes, gives the tar's bytes on and knows the spans. */
export interface LayerPass {
  push(bytes: Uint8Array): void;
  finish(): PassResult;
}
