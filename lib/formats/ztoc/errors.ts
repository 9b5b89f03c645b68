/**
 * Why bytes are no ztoc we can use: `bounds` (something points outside), `missing` (a field that must
 * be there), `value` (a field holds what it cannot mean), `order` (offsets do not ascend or overlap),
 * `count` (numbers of things that must agree do not), `too-large` (over our limits), `sparse` (it lists
 * a sparse file, whose bytes do not lie in the tar as they are read).
 */
export type ZtocErrorCode =
  | "bounds"
  | "missing"
  | "value"
  | "order"
  | "count"
  | "too-large"
  | "sparse";

/** Bytes that are no ztoc, or facts that make none. */
export class ZtocError extends Error {
  static {
    this.prototype.name = "ZtocError";
  }

  /** The message begins with the place, and goes on with what is wrong there. */
  constructor(
    readonly code: ZtocErrorCode,
    /** Where in the bytes; -1 where the fault has no one place. */
    readonly offset: number,
    /** What is wrong, without the place. */
    readonly detail: string,
  ) {
    super(offset < 0 ? `ztoc: ${detail}` : `ztoc at byte ${offset}: ${detail}`);
  }
}
