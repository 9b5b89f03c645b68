/**
 * Which spans of a layer are here, and how the rest gets here.
 *
 * A *span* is a run of a layer's compressed bytes that can be inflated by itself, from a checkpoint
 * of the ztoc; it gives one run of the uncompressed tar. A span is
 *
 * ```
 * missing ──asked for──► queued ──► fetching ──► checked and inflating ──► present
 *    ▲                                │ network error       │ wrong digest: fetched again,
 *    └────────────────────────────────┴─────────────────────┘ a bounded number of times
 * ```
 *
 * Its bytes go into the layer's data file first, then it is marked in the `SpanMap` (durable), then
 * in the presence bytes (shared with the FUSE Workers). So whoever sees it present may read it.
 *
 * `LayerReader` is the face of one layer: `ensure` makes a range of the data file readable. Equal
 * requests join; a demand request that meets a queued background one pulls it forward. Classes are
 * served strictly in order: demand, prefetch, background. Fetching, checking and inflating happen
 * off the main isolate's hot path: ranges by the `SpanSource`, the rest in `InflatePool` Workers.
 * @module
 */
export { LayerReader, type LayerReaderOptions } from "./reader.ts";
export { type SpanClass, SpanScheduler } from "./scheduler.ts";
export { FileSpanSource, type SpanSource } from "./source.ts";
export { SpanMap } from "./map.ts";
export { InflatePool } from "./inflate_pool.ts";
export { SpanError, type SpanErrorKind } from "./errors.ts";
