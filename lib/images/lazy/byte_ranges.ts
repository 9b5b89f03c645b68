/** A set of byte offsets, stored as disjoint ranges. */
export class ByteRanges {
  /** In order. */
  readonly #ranges: { start: number; end: number }[] = [];

  /** Adds bytes [start, end). */
  add(start: number, end: number): void {
    if (start >= end) return;
    const first = this.#ranges.findIndex((range) => range.end >= start);
    if (first < 0) {
      this.#ranges.push({ start, end });
      return;
    }
    let behind = first;
    let merged = { start, end };
    for (
      let range = this.#ranges[behind];
      range !== undefined && range.start <= end;
      range = this.#ranges[++behind]
    ) {
      merged = {
        start: Math.min(merged.start, range.start),
        end: Math.max(merged.end, range.end),
      };
    }
    this.#ranges.splice(first, behind - first, merged);
  }

  /** Whether the set holds all of [start, end). */
  covers(start: number, end: number): boolean {
    return start >= end ||
      this.#ranges.some((range) => range.start <= start && range.end >= end);
  }

  /** Empties the set. */
  clear(): void {
    this.#ranges.length = 0;
  }
}
