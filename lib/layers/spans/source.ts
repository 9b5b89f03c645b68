/** Where the compressed bytes of a layer come from. */
export interface SpanSource {
  /** The registry; each host has its own budget. Empty for files of this machine. */
  readonly host: string;
  /** The repository on that host; it has its own share of the host's budget. */
  readonly repository?: string;
  /**
   * Fills `into` with bytes [start, end) of the layer blob; `into` is end − start long and belongs
   * to the caller. Not trusted: the caller checks digests.
   * @param onProgress called as bytes arrive, with the number of bytes from the beginning of `into` that
   * are here.
   * @throws NotYetHere if the source gives its bytes in order and these come later; an error if not all
   * bytes could be fetched; or the signal's reason.
   */
  fetch(
    start: number,
    end: number,
    into: Uint8Array<ArrayBuffer>,
    signal: AbortSignal,
    onProgress?: (filled: number) => void,
  ): Promise<void>;
}

/**
 * The source gives its bytes in one order only, and the requested ones come later. The request ends at
 * once, so that it does not block others: wait for `arrived`, then request again.
 */
export class NotYetHere extends Error {
  static {
    this.prototype.name = "NotYetHere";
  }

  /**
   * Says when to ask again.
   * @param arrived resolves when the bytes are here; rejects with the error that stopped them, or the
   * signal's reason.
   * @param lastArrivalMs when bytes last arrived, by `performance.now()`.
   */
  constructor(
    readonly arrived: (signal: AbortSignal) => Promise<void>,
    readonly lastArrivalMs: () => number,
  ) {
    super("the bytes come later, in their order");
  }
}

/** Fetches as {@link SpanSource.fetch} does, and waits for bytes that come later. */
export async function fetchInTime(
  source: SpanSource,
  range: { readonly start: number; readonly end: number },
  into: Uint8Array<ArrayBuffer>,
  signal: AbortSignal,
): Promise<void> {
  while (true) {
    try {
      return await source.fetch(range.start, range.end, into, signal);
    } catch (error) {
      if (!(error instanceof NotYetHere)) throw error;
      await error.arrived(signal);
    }
  }
}
