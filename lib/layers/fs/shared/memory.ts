import { EndMark } from "./end_mark.ts";
import { PresenceArena } from "./presence.ts";
import { ReadersAtWork } from "./readers.ts";
import { RequestRing } from "./request_ring.ts";
import { SlotTable } from "./slot_table.ts";
import { SpanStarts } from "./span_starts.ts";

/** Capacities. */
export interface SharedSizes {
  /** Layers that are served at once. */
  readonly layers: number;
  /** Spans of all of them, and one more for each layer. */
  readonly spans: number;
  /** Reads queued for the main isolate; a power of two. */
  readonly ringItems: number;
  /** FUSE Workers. */
  readonly workers: number;
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
  /** Of `RequestRing`. */
  readonly ring: SharedArrayBuffer;
  /** Of `ReadersAtWork`. */
  readonly readers: SharedArrayBuffer;
  /** Of `EndMark`. */
  readonly end: SharedArrayBuffer;
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
  /** Reads that Workers could not answer. */
  readonly ring: RequestRing;
  /** Workers that are copying at the moment. */
  readonly readers: ReadersAtWork;
  /** Whether the Workers are to end. */
  readonly end = new EndMark(EndMark.allocate());

  /** Allocates it; unused pages take no memory. */
  constructor({ layers, spans, ringItems, workers }: SharedSizes) {
    this.slots = new SlotTable(SlotTable.allocate(layers));
    this.arena = new PresenceArena(new SharedArrayBuffer(spans));
    this.starts = new SpanStarts(SpanStarts.allocate(spans));
    this.uses = new Uint8Array(new SharedArrayBuffer(spans));
    this.ring = new RequestRing(RequestRing.allocate(ringItems));
    this.readers = new ReadersAtWork(ReadersAtWork.allocate(workers));
  }

  /** What a Worker needs to access it. */
  buffers(): SharedBuffers {
    return {
      slots: this.slots.memory,
      presence: this.arena.memory,
      starts: this.starts.memory,
      uses: this.uses.buffer,
      ring: this.ring.memory,
      readers: this.readers.memory,
      end: this.end.memory,
    };
  }
}
