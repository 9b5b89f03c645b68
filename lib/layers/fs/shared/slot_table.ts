const ROW_WORDS = 6;
const EMPTY = 0;
const REMOVED = -1;

/** Row of a slot in the table; valid while `SlotTable.holds(row, slot)`. */
export type SlotRow = number;

/** Open-addressed hash table from slot to the layer's presence bytes. One writer, many readers. */
export class SlotTable {
  readonly #rows: Int32Array;
  readonly #capacity: number;

  /** One isolate's view of it. @param memory made by `SlotTable.allocate`. */
  constructor(readonly memory: SharedArrayBuffer) {
    this.#rows = new Int32Array(memory);
    this.#capacity = this.#rows.length / ROW_WORDS;
  }

  /** Memory for `capacity` layers; room for twice as many rows keeps probes short. */
  static allocate(capacity: number): SharedArrayBuffer {
    return new SharedArrayBuffer(capacity * 2 * ROW_WORDS * 4);
  }

  /** How many rows it has: more than layers. */
  get rows(): number {
    return this.#capacity;
  }

  /** The row of a slot, or -1 when it is not served. */
  find(slot: number): SlotRow {
    for (let step = 0; step < this.#capacity; step++) {
      const row = (this.#home(slot) + step) % this.#capacity;
      const held = Atomics.load(this.#rows, row * ROW_WORDS);
      if (held === (slot | 0)) return row;
      if (held === EMPTY) return -1;
    }
    return -1;
  }

  /** Whether that row still serves that slot. */
  holds(row: SlotRow, slot: number): boolean {
    return Atomics.load(this.#rows, row * ROW_WORDS) === (slot | 0);
  }

  /** First presence byte of the layer in the arena. */
  arenaOffset(row: SlotRow): number {
    return Atomics.load(this.#rows, row * ROW_WORDS + 1) >>> 0;
  }

  /** Presence bytes of the layer. */
  spanCount(row: SlotRow): number {
    return Atomics.load(this.#rows, row * ROW_WORDS + 2) >>> 0;
  }

  /**
   * Changes whenever the row is released, and whenever spans of its layer are evicted. If a reader sees
   * the same number before and after it looked at presence bytes and read, then the bytes belonged to
   * this layer throughout, and it read no hole.
   */
  generation(row: SlotRow): number {
    return Atomics.load(this.#rows, row * ROW_WORDS + 3);
  }

  /** First range of the layer in the range tables; of use only while `rangeCount` is not 0. */
  rangeOffset(row: SlotRow): number {
    return Atomics.load(this.#rows, row * ROW_WORDS + 4) >>> 0;
  }

  /** Ranges of the layer; ask for it before `rangeOffset`. */
  rangeCount(row: SlotRow): number {
    return Atomics.load(this.#rows, row * ROW_WORDS + 5) >>> 0;
  }

  /** Shows a served slot's ranges to readers; 0 ranges: there are none. Main isolate only. */
  setRanges(slot: number, offset: number, count: number): void {
    const row = this.find(slot);
    if (row < 0) return;
    Atomics.store(this.#rows, row * ROW_WORDS + 5, 0);
    Atomics.store(this.#rows, row * ROW_WORDS + 4, offset);
    // The count last: a reader that sees it sees the rest.
    Atomics.store(this.#rows, row * ROW_WORDS + 5, count);
  }

  /** Starts serving a slot. Main isolate only. @throws RangeError when the table is full. */
  add(slot: number, arenaOffset: number, spanCount: number): void {
    for (let step = 0; step < this.#capacity; step++) {
      const row = (this.#home(slot) + step) % this.#capacity;
      const held = this.#rows[row * ROW_WORDS];
      if (held === EMPTY || held === REMOVED) {
        Atomics.store(this.#rows, row * ROW_WORDS + 1, arenaOffset);
        Atomics.store(this.#rows, row * ROW_WORDS + 2, spanCount);
        Atomics.store(this.#rows, row * ROW_WORDS + 5, 0);
        // The slot number last: a reader that sees it sees the rest.
        Atomics.store(this.#rows, row * ROW_WORDS, slot);
        return;
      }
    }
    throw new RangeError(`no room for another layer in the slot table`);
  }

  /**
   * Call it when spans of a served layer are MISSING again, before their bytes are destroyed: Workers
   * that are reading check again. Main isolate only.
   */
  spansGone(slot: number): void {
    const row = this.find(slot);
    if (row >= 0) Atomics.add(this.#rows, row * ROW_WORDS + 3, 1);
  }

  /** Stops serving a slot. Main isolate only. */
  remove(slot: number): void {
    const row = this.find(slot);
    if (row < 0) return;
    Atomics.add(this.#rows, row * ROW_WORDS + 3, 1);
    Atomics.store(this.#rows, row * ROW_WORDS, REMOVED);
  }

  /** Every served slot, ascending. */
  slots(): number[] {
    const found: number[] = [];
    for (let row = 0; row < this.#capacity; row++) {
      const held = Atomics.load(this.#rows, row * ROW_WORDS);
      if (held !== EMPTY && held !== REMOVED) found.push(held >>> 0);
    }
    return found.sort((a, b) => a - b);
  }

  #home(slot: number): number {
    // Knuth's multiplicative hash spreads consecutive slots.
    return (Math.imul(slot, 0x9e3779b1) >>> 0) % this.#capacity;
  }
}
