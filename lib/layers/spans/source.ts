import { closeFd, O, openFd, preadFully } from "../../host/os/mod.ts";

/** Where the compressed bytes of a layer come from. */
export interface SpanSource {
  /** The registry: hosts have budgets of their own. Empty for what is on this machine. */
  readonly host: string;
  /** The repository on that host: within the host's budget it has its own. */
  readonly repository?: string;
  /**
   * Fills `into` with bytes [start, end) of the layer blob; `into` is end − start long and belongs
   * to the caller. Not trusted: the caller checks digests.
   * @param onProgress told how many bytes of `into` are here, from its beginning on, as they come.
   * @throws NotYetHere where the bytes come later, in their order; when not all bytes could be had, or
   * the signal's reason.
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
 * A source gives its bytes in one order only, and those asked for come later. Asking does not hold up
 * what others want meanwhile: whoever waits does so by `arrived` and asks again.
 */
export class NotYetHere extends Error {
  static {
    this.prototype.name = "NotYetHere";
  }

  /**
   * Says when to ask again.
   * @param arrived resolves when the bytes are here; rejects with what keeps them from coming, or the
   * signal's reason.
   * @param lastArrivalMs when some bytes came last, by `performance.now()`.
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

/** A layer blob in a local file. */
export class FileSpanSource implements SpanSource, Disposable {
  /** No host: the file is on this machine. */
  readonly host = "";
  readonly #fd: number;

  /** Opens the file. @throws OsError */
  constructor(
    /** Where it is, for errors. */
    readonly path: string,
  ) {
    this.#fd = openFd(path, O.RDONLY);
  }

  fetch(
    start: number,
    _end: number,
    into: Uint8Array<ArrayBuffer>,
    _signal: AbortSignal,
    onProgress?: (filled: number) => void,
  ): Promise<void> {
    const count = preadFully(this.#fd, into, start);
    onProgress?.(count);
    return count === into.length ? Promise.resolve() : Promise.reject(
      new RangeError(`${this.path} ends at byte ${start + count}`),
    );
  }

  /** Closes the file. */
  [Symbol.dispose](): void {
    closeFd(this.#fd);
  }
}
