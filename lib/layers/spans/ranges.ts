import { OsError, pwriteFully } from "../../host/os/mod.ts";
import { MISSING, PRESENT, RangeTable } from "../presence/mod.ts";
import type { PackedBytes } from "./inflate_messages.ts";
import { type CutRanges, cutRanges, type PackedRange } from "./range_table.ts";
import type { LayerReaderOptions } from "./options.ts";
import { isHere, SpanState, type SpanStates } from "./span_states.ts";

/** What came by the packs of a layer, and what became of it. Bytes of the tar. */
export interface RangeFigures {
  /** Bytes that came and were written. */
  arrivedBytes: number;
  /** Reads that waited for bytes on their way. */
  lateReads: number;
  /** All bytes that those asked for. */
  lateBytes: number;
}

/** The spans of a layer, as its ranges see them. */
export interface RangedSpans {
  /** Of each. */
  readonly states: SpanStates;
  /** Aborted once the layer serves nothing any more. */
  readonly closed: AbortSignal;
}

/** What of a read can be had without its spans. */
export type RangeLook =
  /** All of it is here. */
  | { readonly kind: "here" }
  /** Some of it is neither here nor on its way. */
  | { readonly kind: "missing" }
  /** All of it is here or on its way. */
  | {
    readonly kind: "coming";
    /** Bytes of the pack that come before the last of it, that byte included. */
    readonly aheadBytes: number;
    /** Compressed bytes of the spans that would have to be fetched instead. */
    readonly spanBytes: number;
    /** Resolves when a part of it is here, or will not come. */
    readonly changed: Promise<void>;
  };

/**
 * The ranges of one layer that a start pack brings: which are expected, which are here, and who waits for
 * them. Bytes are taken only while their span is `MISSING`, `QUEUED` or `FETCHING`: from `INFLATING` on, the
 * inflate Worker compares what is here with the span, and nothing may change under it.
 */
export class LayerRanges {
  /** What came so far. */
  readonly figures: RangeFigures = {
    arrivedBytes: 0,
    lateReads: 0,
    lateBytes: 0,
  };
  readonly #options: LayerReaderOptions;
  readonly #spans: RangedSpans;
  #table: RangeTable = RangeTable.allocate(0);
  #count = 0;
  #packEnds: Float64Array = new Float64Array(0);
  /** 1: it is on its way. */
  #due: Uint8Array = new Uint8Array(0);
  /** Bytes of the packs that have come; see `PackedRange.packEnd`. */
  #received: () => number = () => 0;
  readonly #waits = new Map<number, PromiseWithResolvers<void>>();
  #isOver = false;
  readonly #expected = Promise.withResolvers<void>();

  /** Expects nothing yet. @param spans the layer's. */
  constructor(options: LayerReaderOptions, spans: RangedSpans) {
    this.#options = options;
    this.#spans = spans;
  }

  /** Whether any range is here or expected, or was. */
  get isUsed(): boolean {
    return this.#count > 0;
  }

  /** Resolves when ranges are expected; null when they are already, or none can be. */
  get expected(): Promise<void> | null {
    const { mayBePacked = false } = this.#options;
    return mayBePacked && !this.isUsed && !this.#isOver
      ? this.#expected.promise
      : null;
  }

  /** Cuts ranges for this layer; those whose span is here are left out. */
  cut(ranges: readonly PackedRange[]): CutRanges {
    return cutRanges(
      ranges,
      this.#options.spans,
      (span) => this.#takesSpan(span),
    );
  }

  /**
   * Expects ranges from now on. Once for each layer.
   * @param table as long as the ranges, zeros; shown to other isolates after this.
   * @param received bytes of the packs that have come so far.
   */
  expect(
    { starts, ends, packEnds }: CutRanges,
    table: RangeTable,
    received: () => number,
  ): void {
    if (this.isUsed || this.#isOver) return;
    table.columns.starts.set(starts);
    table.columns.ends.set(ends);
    table.columns.uses.fill(0);
    this.#table = table;
    this.#count = starts.length;
    this.#packEnds = packEnds;
    this.#received = received;
    // A span that was asked for since they were cut is not compared any more.
    this.#due = Uint8Array.from(starts, (start) => Number(this.#takes(start)));
    this.#expected.resolve();
  }

  #takes(offset: number): boolean {
    if (this.#isOver || this.#spans.closed.aborted) return false;
    return this.#takesSpan(this.#options.spans.spanAt(offset));
  }

  #takesSpan(span: number): boolean {
    const state = this.#spans.states.at(span);
    return state === SpanState.MISSING || state === SpanState.QUEUED ||
      state === SpanState.FETCHING;
  }

  /**
   * Bytes of the tar have come by a pack. What was not expected is left out.
   * @returns how many were taken
   */
  accept(offset: number, bytes: Uint8Array<ArrayBuffer>): number {
    const { starts, ends, states } = this.#table.columns;
    const { dataFd, uncached, onRange } = this.#options;
    const end = offset + bytes.length;
    let taken = 0;
    for (
      let range = this.#table.firstBehind(0, this.#count, offset);
      range < this.#count && ends[range]! <= end;
      range++
    ) {
      const start = starts[range]!;
      if (start < offset || this.#due[range] === 0) continue;
      this.#due[range] = 0;
      if (this.#takes(start) && uncached.mayWrite) {
        const part = bytes.subarray(start - offset, ends[range]! - offset);
        try {
          pwriteFully(dataFd, part, start);
          Atomics.store(states, range, PRESENT);
          taken += part.length;
        } catch (error) {
          if (!(error instanceof OsError)) throw error;
          uncached.diskFull(error.message);
        }
        onRange?.(this.#options.spans.spanAt(start));
      }
      this.#tell(range);
    }
    this.figures.arrivedBytes += taken;
    return taken;
  }

  /** Whether any range is on its way. */
  get isAwaited(): boolean {
    return this.#due.includes(1);
  }

  /** Whether any of the bytes [offset, offset + length) is on its way. */
  awaits(offset: number, length: number): boolean {
    const { starts } = this.#table.columns;
    const end = offset + length;
    for (
      let range = this.#table.firstBehind(0, this.#count, offset);
      range < this.#count && starts[range]! < end;
      range++
    ) if (this.#due[range] === 1) return true;
    return false;
  }

  /** Nothing more is on its way. */
  endOfPack(): void {
    this.#due.fill(0);
    for (const range of [...this.#waits.keys()]) this.#tell(range);
  }

  /** Looks for bytes [offset, offset + length), apart from spans that are here. */
  look(offset: number, length: number): RangeLook {
    const { spans } = this.#options;
    const end = offset + length;
    let waits: Promise<void>[] | null = null;
    let packEnd = 0;
    let spanBytes = 0;
    for (let at = offset; at < end;) {
      const span = spans.spanAt(at);
      const to = Math.min(end, spans.end(span));
      if (!isHere(this.#spans.states.at(span))) {
        const wait = this.#lookIn(at, to);
        if (wait === "missing") return { kind: "missing" };
        if (wait !== "here") {
          (waits ??= []).push(wait.changed);
          packEnd = Math.max(packEnd, wait.packEnd);
          spanBytes += spans.compressedEnd(span) - spans.compressedStart(span);
        }
      }
      at = to;
    }
    if (waits === null) return { kind: "here" };
    const aheadBytes = packEnd - this.#received();
    const changed = Promise.race(waits);
    return { kind: "coming", aheadBytes, spanBytes, changed };
  }

  #lookIn(
    from: number,
    to: number,
  ): "here" | "missing" | { changed: Promise<void>; packEnd: number } {
    if (this.#table.covers(0, this.#count, from, to)) return "here";
    const { starts, ends, states } = this.#table.columns;
    let last = -1;
    let at = from;
    for (
      let range = this.#table.firstBehind(0, this.#count, from);
      at < to;
      range++
    ) {
      if (range >= this.#count || starts[range]! > at) return "missing";
      if (this.#due[range] === 1) {
        if (last < 0 || this.#packEnds[range]! > this.#packEnds[last]!) {
          last = range;
        }
      } else if (states[range] !== PRESENT) return "missing";
      at = ends[range]!;
    }
    if (last < 0) return "here";
    const wait = this.#waits.getOrInsertComputed(
      last,
      () => Promise.withResolvers<void>(),
    );
    return { changed: wait.promise, packEnd: this.#packEnds[last]! };
  }

  #tell(range: number): void {
    this.#waits.get(range)?.resolve();
    this.#waits.delete(range);
  }

  /** Whether bytes of one span are here that came by a pack. */
  covers(from: number, to: number): boolean {
    return this.#table.covers(0, this.#count, from, to);
  }

  /** The ranges of a span, for whoever compares it with them; null: there are none. */
  ofSpan(span: number): PackedBytes | null {
    const { first, end } = this.#within(span);
    if (first === end) return null;
    const { starts, ends, states } = this.#table.part(first, end - first)
      .columns;
    return { fd: this.#options.dataFd, starts, ends, states };
  }

  #within(span: number): { first: number; end: number } {
    const { spans } = this.#options;
    const first = this.#table.firstBehind(0, this.#count, spans.start(span));
    let end = first;
    const { starts } = this.#table.columns;
    while (end < this.#count && starts[end]! < spans.end(span)) end++;
    return { first, end };
  }

  /** Bytes of a span that is not here, and of which ranges are. */
  bytesOf(span: number): number {
    if (!this.isUsed) return 0;
    const { starts, ends, states } = this.#table.columns;
    const { first, end } = this.#within(span);
    let bytes = 0;
    for (let range = first; range < end; range++) {
      if (states[range] === PRESENT) bytes += ends[range]! - starts[range]!;
    }
    return bytes;
  }

  /** Forgets the ranges of a span: it is here, or it goes. Who waits for them looks again. */
  forget(span: number): void {
    if (!this.isUsed) return;
    const { first, end } = this.#within(span);
    this.#table.clear(first, end);
    this.#due.fill(0, first, end);
    for (let range = first; range < end; range++) this.#tell(range);
  }

  /** Forgets all ranges, and takes no more. */
  forgetAll(): void {
    this.#isOver = true;
    this.#table.clear(0, this.#count);
    this.endOfPack();
  }

  /** Whether any range, here or not, holds a byte of [from, to). */
  touches(from: number, to: number): boolean {
    const range = this.#table.firstBehind(0, this.#count, from);
    return range < this.#count && this.#table.columns.starts[range]! < to;
  }

  /** Bytes of ranges that came and are still here or were, and of those the ones that somebody has read. */
  usedBytes(): number {
    const { starts, ends, uses } = this.#table.columns;
    let used = 0;
    for (let range = 0; range < this.#count; range++) {
      if (uses[range] !== MISSING) used += ends[range]! - starts[range]!;
    }
    return used;
  }
}
