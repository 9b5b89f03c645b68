/**
 * - `digest`: the bytes do not have the digest in the ztoc; they were not used.
 * - `inflate`: the digest is right but the bytes do not inflate: the ztoc is wrong.
 * - `header`: a tar header in the span differs from the ztoc: the ztoc is wrong.
 * - `layer`: the whole layer does not have its digest: the ztoc is wrong.
 * - `worker`: the Worker that handled it crashed, by a bug or a fault of the machine. A retry may
 *   succeed.
 * - `disk`: the cache could not be written or read.
 * - `closed`: the layer is no longer served.
 */
export type SpanErrorKind =
  | "digest"
  | "inflate"
  | "header"
  | "layer"
  | "worker"
  | "disk"
  | "closed";

/** A span could not be made present. */
export class SpanError extends Error {
  /** The class's name, for logs. */
  override readonly name = "SpanError";
  /** The message names layer, span and offset. @param detail what went wrong, in words. */
  constructor(
    /** The kind of error, which decides what the caller does. */
    readonly kind: SpanErrorKind,
    /** The layer blob's digest. */
    readonly layerDigest: string,
    /** Number of the span, from 0; 0 also if the error is about the whole layer. */
    readonly span: number,
    /** First compressed byte of the span in the layer blob. */
    readonly offset: number,
    detail: string,
  ) {
    super(`layer ${layerDigest} span ${span} at byte ${offset}: ${detail}`);
  }
}

/** There is no source left for a layer's bytes. */
export class NoSourceError extends Error {
  /** The class's name, for logs. */
  override readonly name = "NoSourceError";
  /** Makes the error. */
  constructor() {
    super("no repository is left that the layer could be fetched from");
  }
}
