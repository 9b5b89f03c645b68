import type { Digest } from "../oci/mod.ts";

/** Bytes that are written where they are needed, so that no copy of them need exist. */
export interface BlobWriter {
  readonly length: number;
  /** Fills `into`, which is `length` long. */
  write(into: Uint8Array<ArrayBuffer>): void;
}

/** What reading a whole layer blob tells of its spans. */
export interface PassResult {
  readonly compressedSize: number;
  readonly spanDigests: readonly Digest[];
  readonly checkpoints: BlobWriter;
  /** Where the last span begins, in the blob and in the tar, which alone knows its end. */
  readonly lastSpan: { readonly in: number; readonly out: number };
}

/** One way of packing: takes the blob's bytes, gives the tar's bytes on and knows the spans. */
export interface LayerPass {
  push(bytes: Uint8Array): void;
  finish(): PassResult;
}

/** A writer of bytes that are all here. */
export function writerOf(bytes: Uint8Array): BlobWriter {
  return { length: bytes.length, write: (into) => into.set(bytes) };
}
