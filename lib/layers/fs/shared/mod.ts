/**
 * What the main isolate and the FUSE Workers share in memory. Six structures, made once at start as
 * `SharedMemory`:
 *
 * - `SlotTable`: which slots are served, and where the presence bytes of each lie. Written by the
 *   main isolate only; read by Workers on every request.
 * - the presence arena: a presence byte (`presence/mod.ts` says what it means, who writes it and in
 *   which order) for each span of each served layer. `SlotTable.generation` tells of spans that go.
 * - `SpanStarts`: where those spans begin, so that a Worker that only serves blobs needs no tree.
 * - use marks: a byte for each presence byte, set by whoever reads the span, cleared by whoever wants
 *   to know which spans are used. Losing a mark in a race costs nothing but a wrong guess.
 * - `ReadersAtWork`: a word for each Worker, so that bytes go only when nobody copies them any more.
 * - `RequestRing`: reads a Worker could not answer. Any Worker pushes; the main isolate drains.
 *
 * A Worker blocked in `read(2)` gets no message, so everything it must learn it reads from here.
 * @module
 */
export { type SharedBuffers, SharedMemory } from "./memory.ts";
export type { PresenceArena } from "./presence.ts";
export { type SlotRow, SlotTable } from "./slot_table.ts";
export { SpanStarts } from "./span_starts.ts";
export { ReadersAtWork } from "./readers.ts";
export {
  RequestRing,
  RING_INTERRUPT,
  RING_READ,
  RingItem,
} from "./request_ring.ts";
