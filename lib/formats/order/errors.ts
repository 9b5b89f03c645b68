/**
 * Why bytes are no load order that can be used: `bounds` (they end too early, or something points
 * outside), `value` (a field holds what it cannot mean), `overlap` (two ranges hold the same byte),
 * `too-large` (over our limits), `digest` (a frame or pack is not the one that the plan names), `damaged`
 * (a frame does not unpack to its ranges).
 */
export type OrderErrorCode =
  | "bounds"
  | "value"
  | "overlap"
  | "too-large"
  | "digest"
  | "damaged";

/** Bytes that are no plan, frame, recording or manifest of a load order. */
export class OrderError extends Error {
  static {
    this.prototype.name = "OrderError";
  }

  /** The message stands alone. @param options the error below it, if there is one. */
  constructor(
    readonly code: OrderErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
