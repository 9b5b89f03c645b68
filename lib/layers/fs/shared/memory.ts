import { RangeTable } from "../../presence/mod.ts";
import { EndMark } from "./end_mark.ts";
import { PresenceArena } from "./presence.ts";
import { ReadersAtWork } from "./readers.ts";
import { ReadTrace } from "./read_trace.ts";
import { RequestRing } from "./request_ring.ts";
import { SlotTable } from "./slot_table.ts";
import { SpanStarts } from "./span_starts.ts";

/** Capacities. */
export interface SharedSizes {
  /** Layers that are served at once. */
  readonly layers: number;
  /** Spans of all of them, and one more for each layer. */
  readonly spans: number;
  /** Ranges of all of them that come ahead of their spans. */
  readonly ranges: number;
  /** Reads queued for the main isolate; a power of two. */
  readonly ringItems: number;
  /** FUSE Workers. */
  readonly workers: number;
}

/** The memory of the range tables: their columns. */
export interface RangeBuffers {
  /** Of `RangeColumns.starts`. */
  readonly starts: SharedArrayBuffer;
  /** Of `RangeColumns.ends`. */
  readonly ends: SharedArrayBuffer;
  /** Of `RangeColumns.states`. */
  readonly states: SharedArrayBuffer;
  /** Of `RangeColumns.uses`. */
  readonly uses: SharedArrayBuffer;
}

/** One isolate's view of the range tables of all layers. */
export function rangesIn(
  { starts, ends, states, uses }: RangeBuffers,
): RangeTable {
  return new RangeTable({
    starts: new Float64Array(starts),
    ends: new Float64Array(ends),
    states: new Uint8Array(states),
    uses: new Uint8Array(uses),
  });
}

/** The same memory, in the form that is sent to a Worker. */
export interface SharedBuffers {
  /** Of `SlotTable`. */
  readonly slots: SharedArrayBuffer;
  /** The presence arena. */
  readonly presence: SharedArrayBuffer;
  /** Of `SpanStarts`. */
  readonly starts: SharedArrayBuffer;
  /** The use marks. */
  readonly uses: SharedArrayBuffer;
  /** Of the range tables. */
  readonly ranges: RangeBuffers;
  /** Of `SharedMemory.reads`. */
  readonly reads: SharedArrayBuffer;
  /** Of `RequestRing`. */
  readonly ring: SharedArrayBuffer;
  /** Of `ReadersAtWork`. */
  readonly readers: SharedArrayBuffer;
  /** Of `EndMark`. */
  readonly end: SharedArrayBuffer;
  /** Of `ReadTrace`. */
  readonly trace: SharedArrayBuffer;
}

/** The main isolate's view of all shared memory. */
export class SharedMemory {
  /** Which slots are served. */
  readonly slots: SlotTable;
  /** Allocates presence bytes to layers. */
  readonly arena: PresenceArena;
  /** Where spans begin. */
  readonly starts: SpanStarts;
  /** Use marks, one for each presence byte. */
  readonly uses: Uint8Array<SharedArrayBuffer>;
  /** Allocates places in the range tables. */
  readonly rangeArena: PresenceArena;
  /** The range tables of all layers. */
  readonly ranges: RangeTable;
  readonly #rangeBuffers: RangeBuffers;
  /** Bytes that were read of each span, about: Workers add to them without a lock. */
  readonly reads: Uint32Array<SharedArrayBuffer>;
  /** Reads that Workers could not answer. */
  readonly ring: RequestRing;
  /** Workers that are copying at the moment. */
  readonly readers: ReadersAtWork;
  /** Reads of layers that are being recorded. */
  readonly trace: ReadTrace;
  /** Whether the Workers are to end. */
  readonly end = new EndMark(EndMark.allocate());

  /** Allocates it; unused pages take no memory. */
  constructor({ layers, spans, ranges, ringItems, workers }: SharedSizes) {
    this.slots = new SlotTable(SlotTable.allocate(layers));
    this.arena = new PresenceArena(new SharedArrayBuffer(spans));
    this.starts = new SpanStarts(SpanStarts.allocate(spans));
    this.uses = new Uint8Array(new SharedArrayBuffer(spans));
    this.#rangeBuffers = {
      starts: new SharedArrayBuffer(ranges * 8),
      ends: new SharedArrayBuffer(ranges * 8),
      states: new SharedArrayBuffer(ranges),
      uses: new SharedArrayBuffer(ranges),
    };
    this.ranges = rangesIn(this.#rangeBuffers);
    this.rangeArena = new PresenceArena(this.#rangeBuffers.states);
    this.reads = new Uint32Array(new SharedArrayBuffer(spans * 4));
    this.ring = new RequestRing(RequestRing.allocate(ringItems));
    this.trace = new ReadTrace(ReadTrace.allocate(this.slots.rows));
    this.readers = new ReadersAtWork(ReadersAtWork.allocate(workers));
  }

  /** What a Worker needs to access it. */
  buffers(): SharedBuffers {
    return {
      slots: this.slots.memory,
      presence: this.arena.memory,
      starts: this.starts.memory,
      uses: this.uses.buffer,
      ranges: this.#rangeBuffers,
      reads: this.reads.buffer,
      ring: this.ring.memory,
      readers: this.readers.memory,
      end: this.end.memory,
      trace: this.trace.memory,
    };
  }
}
