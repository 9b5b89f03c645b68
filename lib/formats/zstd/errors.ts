/**
 * - `damaged`: the bytes are no zstd, or broken.
 * - `not-seekable`: it is zstd, and cannot be read from the middle: one frame, or frames too large.
 * - `too-large`: it exceeds one of our limits.
 */
export type ZstdErrorCode = "damaged" | "not-seekable" | "too-large";

/** Bytes that are no zstd stream, or none that can be used. */
export class ZstdError extends Error {
  static {
    this.prototype.name = "ZstdError";
  }

  /** The message begins with the place. @param detail what is wrong there. */
  constructor(
    readonly code: ZstdErrorCode,
    /** Where in the compressed bytes it was seen. */
    readonly offset: number,
    detail: string,
  ) {
    super(`zstd at byte ${offset}: ${detail}`);
  }
}
