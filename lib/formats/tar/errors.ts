/**
 * Why a tar cannot be walked: `header` (no header where one must be), `number` (a field is no number
 * or over 2^53), `pax` (a broken PAX record), `too-long` (a name or extension over the limit),
 * `truncated`, `unsupported-type`, `sparse`.
 */
export type TarErrorCode =
  | "header"
  | "number"
  | "pax"
  | "too-long"
  | "truncated"
  | "unsupported-type"
  | "sparse";

/** A tar that cannot be walked. */
export class TarError extends Error {
  static {
    this.prototype.name = "TarError";
  }

  /** The message begins with the place. @param detail what is wrong there. */
  constructor(
    readonly code: TarErrorCode,
    /** Position in the uncompressed tar of the header block at fault. */
    readonly offset: number,
    detail: string,
  ) {
    super(`tar at byte ${offset}: ${detail}`);
  }
}
