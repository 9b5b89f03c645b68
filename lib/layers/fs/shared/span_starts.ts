/**
 * Where the spans of served layers begin in their data files: a number for each presence byte, plus one
 * for each layer, the size of its data. The main isolate writes them before the layer is in the slot
 * table, and does not change them while it is.
 */
export class SpanStarts {
  readonly #starts: Float64Array;

  /** One isolate's view of it. @param memory made by `SpanStarts.allocate`. */
  constructor(readonly memory: SharedArrayBuffer) {
    this.#starts = new Float64Array(memory);
  }

  /** Memory for the spans of an arena of that many bytes. Unused parts take no memory. */
  static allocate(arenaBytes: number): SharedArrayBuffer {
    return new SharedArrayBuffer(arenaBytes * 8);
  }

  /** Writes the starts of a layer whose presence bytes begin at `arenaOffset`. Main isolate only. */
  write(arenaOffset: number, starts: Float64Array): void {
    this.#starts.set(starts, arenaOffset);
  }

  /** Bytes of the data of a layer of `count` spans. */
  dataBytes(arenaOffset: number, count: number): number {
    return this.#starts[arenaOffset + count] as number;
  }

  /** Where a span begins; for the one behind the last, where the data ends. */
  start(arenaOffset: number, span: number): number {
    return this.#starts[arenaOffset + span] as number;
  }

  /**
   * Adds a read of bytes [offset, offset + length) to the counts of the spans that it touches, of which `span`
   * is the first. Another isolate that adds to the same count at that moment may be forgotten.
   */
  count(
    arenaOffset: number,
    span: number,
    offset: number,
    length: number,
    counts: Uint32Array,
  ): void {
    const end = offset + length;
    for (let at = arenaOffset + span; offset < end; at++) {
      const to = Math.min(end, this.#starts[at + 1] as number);
      counts[at] = (counts[at] as number) + to - offset;
      offset = to;
    }
  }

  /** The span of `count` that holds byte `offset` of the data. */
  spanAt(arenaOffset: number, count: number, offset: number): number {
    let low = 0;
    let high = count - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((this.#starts[arenaOffset + middle] as number) <= offset) {
        low = middle;
      } else high = middle - 1;
    }
    return low;
  }
}
