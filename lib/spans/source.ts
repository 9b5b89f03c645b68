import { closeFd, O, openFd, preadFully } from "../os/mod.ts";

/** Where the compressed bytes of a layer come from. */
export interface SpanSource {
  /**
   * Fills `into` with bytes [start, end) of the layer blob; `into` is end − start long and belongs
   * to the caller. Not trusted: the caller checks digests.
   * @throws when not all bytes could be had.
   */
  fetch(
    start: number,
    end: number,
    into: Uint8Array<ArrayBuffer>,
    signal: AbortSignal,
  ): Promise<void>;
}

/** A layer blob in a local file. */
export class FileSpanSource implements SpanSource, Disposable {
  readonly #fd: number;

  /** @throws OsError */
  constructor(readonly path: string) {
    this.#fd = openFd(path, O.RDONLY);
  }

  fetch(
    start: number,
    _end: number,
    into: Uint8Array<ArrayBuffer>,
  ): Promise<void> {
    const count = preadFully(this.#fd, into, start);
    return count === into.length ? Promise.resolve() : Promise.reject(
      new RangeError(`${this.path} ends at byte ${start + count}`),
    );
  }

  /** Closes the file. */
  [Symbol.dispose](): void {
    closeFd(this.#fd);
  }
}
