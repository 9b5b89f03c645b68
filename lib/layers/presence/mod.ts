/**
 * The presence byte: one for each span of each served layer, in memory that all isolates of the process
 * share. It tells readers of a layer's data file whether the span's bytes are in it.
 *
 * | value | the span's bytes | a reader |
 * |---|---|---|
 * | `MISSING` | are not in the data file, or are about to go | asks the main isolate |
 * | `PRESENT` | are in the data file, checked | copies them without asking |
 * | `WATCHED` | are in the data file, checked | asks the main isolate once: read-ahead wants to know when a reader gets here |
 * | `UNCHECKED` | were in the data file when the last process ended | asks the main isolate, which compares them with their checksum |
 *
 * ```text
 * MISSING ──(1)──► PRESENT ◄──(3)──► WATCHED
 *    ▲                │                 │
 *    └──────(2)───────┴─────────────────┘
 * UNCHECKED ──(4)──► PRESENT, or (2)
 * ```
 *
 * **Who writes.** Only the main isolate, and in it only the layer's span map. So it may read and then
 * write without a lock. But it must write in an order that is safe for a reader at any moment.
 *
 * 1. *Arrival.* Before the byte is set, the span's bytes are in the file, and digest and headers are
 *    checked.
 * 2. *Eviction.* The byte is cleared first. Then the layer's generation in the slot table is raised, and
 *    the writer waits until every reader has left the read it was in. Only then may a hole or a new
 *    write destroy the bytes.
 * 3. *Watching* may begin and end at any time while the bytes are in the file.
 * 4. *Comparing.* What an earlier process wrote is compared before its first use by this one. A byte is
 *    `UNCHECKED` only from the start on.
 *
 * **Who reads.** FUSE Workers, before each copy. They announce a read before they look, and its end
 * after they have copied (`ReadersAtWork`). Only `PRESENT` lets them copy; for any other value they ask.
 *
 * **Memory order.** Loads and stores are `Atomics`, which are sequentially consistent. So there are two
 * cases. Either a writer that has cleared the byte sees the reader's announcement and waits for it, or
 * the reader sees the cleared byte. While no slot refers to a range of bytes, a plain `fill` may clear
 * it: the atomic store that publishes the slot orders it.
 *
 * **Ranges.** A span may be missing while some of its bytes are here: those that came ahead of it by a start
 * pack. `RangeTable` lists them, with a byte for each range that follows the same rules. Readers ask it
 * where the presence byte says `MISSING`. When the span comes, its ranges are compared with it and then
 * forgotten; when it is evicted, they go with it.
 *
 * This room is imported by FUSE Workers: it holds the values and imports nothing.
 * @module
 */

export { MISSING, PRESENT, UNCHECKED, WATCHED } from "./bytes.ts";
export { type RangeColumns, RangeTable } from "./ranges.ts";
