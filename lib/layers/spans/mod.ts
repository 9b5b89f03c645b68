/**
 * Which spans of a layer are here, and how the rest gets here.
 *
 * A *span* is a run of a layer's compressed bytes that can be inflated by itself, from a checkpoint
 * of the ztoc; it gives one run of the uncompressed tar. A span is
 *
 * ```text
 * missing ──asked for──► queued ──► on its way ──► checked and inflating ──► present
 *    ▲                     ▲            │ │                │                   │ │
 *    │                     └─preempted──┘ │ network error  │ wrong digest:     │ │
 *    ├────────────────────────────────────┘                │ fetched again,    │ │
 *    ├─────────────────────────────────────────────────────┘ then failed       │ │
 *    └────────────────evicted, or its layer found to lie───────────────────────┘ │
 *                        watched: the next reader asks, for read-ahead ◄─────────┘
 * ```
 *
 * Its bytes go into the layer's data file first, then it is marked in the `SpanMap` (durable) and in
 * the presence bytes (shared with the FUSE Workers). On the way out the order is the reverse:
 * presence byte, `onGone` (which resolves when nobody copies any more who saw it present), durable
 * mark, and only then the hole. So whoever sees it present, and says that it reads, reads the layer's
 * bytes.
 *
 * `LayerReader` is the face of one layer: `ensure` makes a range readable, `copy` reads it. Equal
 * requests join. `SpanScheduler` decides what is fetched next, host by host, in class order: demand,
 * prefetch, background. Ranges come by the `SpanSource`; spans are handed on as soon as their part of
 * a range is here; digests, inflating, header checks and writing happen in `InflatePool` Workers.
 * What a ztoc says of names and modes is checked by a `HeaderTable`, what it says of contents by
 * `hashLayer` once the layer is whole. `SpanCache` keeps the spans of all layers within a budget.
 * @module
 */
export { LayerReader } from "./reader.ts";
export type { LayerReaderOptions } from "./options.ts";
export type { SpanClass } from "./classes.ts";
export { type SchedulerOptions, SpanScheduler } from "./scheduler.ts";
export { FileSpanSource, type SpanSource } from "./source.ts";
export { SpanMap } from "./map.ts";
export { HeaderTable } from "./headers.ts";
export { InflatePool } from "./inflate_pool.ts";
export { type CachedLayer, type IdleLayers, SpanCache } from "./cache.ts";
export { hashLayer } from "./whole.ts";
export type { LayerTail } from "./whole_messages.ts";
export { UncachedSpans } from "./uncached.ts";
export { SpanError, type SpanErrorKind } from "./errors.ts";
