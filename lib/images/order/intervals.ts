/** Half-open runs of bytes that do not touch each other, in order. */
export class Intervals {
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];

  /**
   * Adds a run.
   * @returns the parts of it that were not in, in order.
   */
  add(start: number, end: number): [start: number, end: number][] {
    const missing: [number, number][] = [];
    // The first run that ends at `start` or behind it; from there on they may touch.
    let at = this.#firstEndingFrom(start);
    const first = at;
    let from = start;
    let newStart = start;
    let newEnd = end;
    for (; at < this.#starts.length && this.#starts[at]! <= end; at++) {
      const [there, thereEnd] = [this.#starts[at]!, this.#ends[at]!];
      if (there > from) missing.push([from, there]);
      from = Math.max(from, thereEnd);
      newStart = Math.min(newStart, there);
      newEnd = Math.max(newEnd, thereEnd);
    }
    if (from < end) missing.push([from, end]);
    this.#starts.splice(first, at - first, newStart);
    this.#ends.splice(first, at - first, newEnd);
    return missing;
  }

  /** How many bytes of a run are in. */
  covered(start: number, end: number): number {
    let bytes = 0;
    for (
      let at = this.#firstEndingFrom(start);
      at < this.#starts.length && this.#starts[at]! < end;
      at++
    ) {
      const held = Math.min(end, this.#ends[at]!) -
        Math.max(start, this.#starts[at]!);
      bytes += Math.max(0, held);
    }
    return bytes;
  }

  #firstEndingFrom(offset: number): number {
    let [low, high] = [0, this.#ends.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#ends[middle]! < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
