/**
 * - `header`: no gzip header, or one that is not allowed.
 * - `data`: the deflate stream is damaged.
 * - `checksum`: CRC-32 or length of a member do not fit.
 * - `truncated`: the stream ends too early, or gives fewer bytes than promised.
 */
export type DeflateErrorCode =
  | "header"
  | "data"
  | "checksum"
  | "truncated";

/** Compressed bytes that cannot be inflated. */
export class DeflateError extends Error {
  static {
    this.prototype.name = "DeflateError";
  }
  /** The message begins with the place. @param detail what is wrong there. */
  constructor(
    readonly code: DeflateErrorCode,
    /** Where in the compressed bytes it was seen. */
    readonly offset: number,
    detail: string,
  ) {
    super(`gzip at byte ${offset}: ${detail}`);
  }
}
