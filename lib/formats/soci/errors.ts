/**
 * What is wrong: `not-an-index` (no manifest, or of another kind), `invalid` (an index or prefetch
 * list that breaks its rules), `digest` (the bytes are not those asked for), `empty` (nothing was
 * indexed, so there is nothing to convert).
 */
export type SociErrorCode = "not-an-index" | "invalid" | "digest" | "empty";

/** A SOCI artifact cannot be used or made. */
export class SociError extends Error {
  static {
    this.prototype.name = "SociError";
  }

  /** The message stands alone. @param options the error below it, if there is one. */
  constructor(
    readonly code: SociErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
