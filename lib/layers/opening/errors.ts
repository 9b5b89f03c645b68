const MiB = 2 ** 20;

/** Opening a layer by its ztoc would take more memory than is allowed: the layer is not served lazily. */
export class CostlyZtocError extends Error {
  /** The class's name, for logs. */
  override readonly name = "CostlyZtocError";
  /** The message says what it would take, and which key of the configuration allows it. */
  constructor(
    /** Bytes of memory it would take. */
    readonly costBytes: number,
    /** What is allowed. */
    readonly maxBytes: number,
  ) {
    super(
      `opening the ztoc would take ${
        inMiB(costBytes)
      } of memory, and [opening] max_memory_bytes allows ${
        inMiB(maxBytes)
      }: the layer is not served lazily`,
    );
  }
}

/** A layer was not opened, for a reason that does not lie in its ztoc. */
export class OpeningError extends Error {
  /** The class's name, for logs. */
  override readonly name = "OpeningError";
}

function inMiB(bytes: number): string {
  return `${Math.ceil(bytes / MiB)} MiB`;
}
