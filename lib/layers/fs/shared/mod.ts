/**
 * The memory that the main isolate and the FUSE Workers share. `SharedMemory` makes its structures
 * once, at start:
 *
 * - `SlotTable`: which slots are served, and where the presence bytes of each lie. Written by the
 *   main isolate only; read by Workers on every request.
 * - the presence arena: a presence byte for each span of each served layer (`presence/mod.ts` says what
 *   it means, who writes it and in which order). `SlotTable.generation` changes when spans are evicted.
 * - `SpanStarts`: where those spans begin, so that a Worker that only serves blobs needs no tree.
 * - the range tables (`RangeTable`): bytes that are here although their span is not. `SlotTable` says which
 *   part of them is a layer's.
 * - use marks: a byte for each presence byte. Readers of the span set it, and the cache clears it when
 *   it collects the marks. A mark that is lost in a race only causes a wrong guess.
 * - `ReadersAtWork`: a word for each Worker, so that bytes are destroyed only when no Worker copies them
 *   any more.
 * - `ReadTrace`: reads of layers that are being recorded. Any isolate adds; the main isolate drains.
 * - `RequestRing`: reads that a Worker could not answer. Any Worker pushes; the main isolate drains.
 * - `EndMark`: tells the Workers to end although the mounts stay.
 *
 * A Worker that is blocked in `read(2)` receives no messages, so it reads everything it must know from
 * here.
 * @module
 */
export {
  type RangeBuffers,
  rangesIn,
  type SharedBuffers,
  SharedMemory,
} from "./memory.ts";
export { EndMark } from "./end_mark.ts";
export type { PresenceArena } from "./presence.ts";
export { type SlotRow, SlotTable } from "./slot_table.ts";
export { SpanStarts } from "./span_starts.ts";
export { ReadersAtWork } from "./readers.ts";
export { ReadTrace, type TracedRead } from "./read_trace.ts";
export {
  RequestRing,
  RING_INTERRUPT,
  RING_READ,
  RingItem,
} from "./request_ring.ts";
