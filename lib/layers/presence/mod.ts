/**
 * The presence byte: one for each span of each served layer, in memory that all isolates of the
 * process share. It tells whoever reads a layer's data file whether the span's bytes are in it.
 *
 * | value | the span's bytes | a reader |
 * |---|---|---|
 * | `MISSING` | are not in the data file, or are about to go | asks the main isolate |
 * | `PRESENT` | are in the data file, checked | copies them without asking |
 * | `WATCHED` | are in the data file, checked | asks all the same, once: it has come to a place that read-ahead wants to hear of |
 *
 * ```text
 * MISSING ──(1)──► PRESENT ◄──(3)──► WATCHED
 *    ▲                │                 │
 *    └──────(2)───────┴─────────────────┘
 * ```
 *
 * **Who writes.** The main isolate alone, and in it the layer's span map alone. So it may look and
 * then write without a lock; what it must not do is write in an order that a reader can catch.
 *
 * 1. *Came.* The bytes are in the file, and digest and headers were seen to be right, before the byte
 *    is set.
 * 2. *Goes.* The byte is cleared first. Then the layer's generation in the slot table is raised, and
 *    the writer waits until every reader has left the read it was in. Only then may the bytes go: by a
 *    hole, or by a new write.
 * 3. *Watched*, and no longer: at any time while the bytes are here.
 *
 * **Who reads.** FUSE Workers, before each copy, between saying that they read and saying that they
 * are done. Only `PRESENT` lets them copy: a value they do not know is one more reason to ask.
 *
 * **Memory order.** Loads and stores are `Atomics`, which are sequentially consistent. So a reader
 * that said that it reads and then saw `PRESENT` is either seen by a writer that cleared the byte, and
 * waited for, or it sees the cleared byte. A whole range of bytes may be cleared by a plain `fill`
 * while no slot refers to it: publishing the slot is the atomic store that orders it.
 *
 * This room is imported by FUSE Workers: it holds the values and imports nothing.
 * @module
 */

/** The span's bytes are not in the data file. Memory that was never written says so. */
export const MISSING = 0;
/** The span's bytes are in the data file: readers copy them without asking. */
export const PRESENT = 1;
/** The span's bytes are in the data file, and the next reader asks all the same. */
export const WATCHED = 2;
