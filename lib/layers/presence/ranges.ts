import { MISSING, PRESENT } from "./bytes.ts";

/** The parts of a range table. All have the same length. */
export interface RangeColumns {
  /** Where each range begins in the data file, ascending. */
  readonly starts: Float64Array;
  /** Where it ends; not behind the next one's start. */
  readonly ends: Float64Array;
  /** `MISSING` or `PRESENT`. */
  readonly states: Uint8Array;
  /** Set by readers of a range. */
  readonly uses: Uint8Array;
}

/**
 * Ranges of a data file that may be here although their span is not. Sorted; no byte is in two of them, and
 * none crosses a span's border.
 *
 * A range's state byte follows the rules of the presence byte: only the main isolate writes it, it is set
 * after the bytes are in the file, and before bytes are destroyed it is cleared, the layer's generation is
 * raised, and readers leave. Starts and ends are written before the table is shown to readers, and not
 * changed after that. Nothing here says that the bytes were checked: a range is never proof of anything.
 */
export class RangeTable {
  /** One isolate's view of the columns. */
  constructor(
    /** Shared by all isolates. */
    readonly columns: RangeColumns,
  ) {}

  /** A table for that many ranges in memory of its own. */
  static allocate(count: number): RangeTable {
    return new RangeTable({
      starts: new Float64Array(new SharedArrayBuffer(count * 8)),
      ends: new Float64Array(new SharedArrayBuffer(count * 8)),
      states: new Uint8Array(new SharedArrayBuffer(count)),
      uses: new Uint8Array(new SharedArrayBuffer(count)),
    });
  }

  /** A part of the table, as a table. */
  part(base: number, count: number): RangeTable {
    const { starts, ends, states, uses } = this.columns;
    const end = base + count;
    return new RangeTable({
      starts: starts.subarray(base, end),
      ends: ends.subarray(base, end),
      states: states.subarray(base, end),
      uses: uses.subarray(base, end),
    });
  }

  /** Index of the first range, of `count` from `base` on, that ends behind `offset`. */
  firstBehind(base: number, count: number, offset: number): number {
    const { ends } = this.columns;
    let low = base;
    let high = base + count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((ends[middle] as number) <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /**
   * Whether ranges that are here, of `count` from `base` on, hold all bytes [from, to). Marks them used.
   */
  covers(base: number, count: number, from: number, to: number): boolean {
    const { starts, ends, states, uses } = this.columns;
    let at = from;
    for (
      let range = this.firstBehind(base, count, from);
      at < to;
      range++
    ) {
      if (range >= base + count || (starts[range] as number) > at) return false;
      if (Atomics.load(states, range) !== PRESENT) return false;
      uses[range] = 1;
      at = ends[range] as number;
    }
    return true;
  }

  /** Marks ranges [first, end) missing. */
  clear(first: number, end: number): void {
    const { states } = this.columns;
    for (let range = first; range < end; range++) {
      Atomics.store(states, range, MISSING);
    }
  }
}
