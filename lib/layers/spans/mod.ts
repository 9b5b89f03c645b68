/**
 * Which spans of a layer are here, and how the rest gets here.
 *
 * A *span* is a piece of a layer's compressed bytes that can be inflated by itself, from a checkpoint
 * of the ztoc; it gives one piece of the uncompressed tar. Where a span is, and what may happen to it
 * then, is one table, drawn and written down in `span_states.ts`: every change is a step of it, and a
 * step that is not there throws. On the plain way a span is missing, queued, fetching, inflating and
 * present; when its room is needed it is leaving, and missing again.
 *
 * A span's bytes go into the layer's data file first, then it is marked in the `SpanMap` (durable) and
 * in the presence byte that the FUSE Workers read (`presence/mod.ts`). On the way out the order is the
 * reverse: the presence byte first; then the durable mark and `onGone` (which resolves when nobody
 * copies any more who saw it present), side by side; and only when both are done the hole. So whoever sees it present, and says that it reads, reads the
 * layer's bytes.
 *
 * **What is where.** `LayerReader` is the face of one layer: `ensure` makes a range readable, `copy`
 * reads it. Its parts share the layer's spans (`layer_spans.ts`: the states, and what goes with each):
 *
 * | job | file |
 * |---|---|
 * | want and wait: join, read ahead, leave | `wants.ts`, `read_ahead.ts` |
 * | choose what is fetched next: in class order demand, prefetch, background | `scheduler.ts`, `host.ts`, `coalesce.ts` |
 * | choose from where: the sources of a layer and their health | `sources.ts`, `source.ts` |
 * | keep hosts and repositories from waiting for each other | `pending.ts`, `flow.ts`, `shares.ts`, `turn_queue.ts` |
 * | bound the memory of what is on its way | `held_bytes.ts` |
 * | fetch: ranges from one `SpanSource`, each span handed on as its part is here | `fetcher.ts` |
 * | check, inflate and write, in Workers | `inflate_pool.ts`, `inflate_worker.ts` |
 * | arrive: try again, headers that cross spans, the mark | `arrivals.ts`, `headers.ts`, `map.ts` |
 * | read what is here | `bytes.ts`, `uncached.ts` |
 * | evict, withdraw, condemn | `evictions.ts` |
 * | keep all layers within a budget of disk | `cache.ts` |
 * | check a whole layer against its diff ID | `whole.ts` |
 *
 * **Who may call what when.** Everything here is the main isolate's, but for the Workers' own modules.
 * Nothing of a reader is used after `close` has resolved; then its descriptors may be closed.
 *
 * **What it may touch**: the data file and the span map of a layer, through descriptors it is given;
 * the headers file. **What it must not know**: registries, credentials and images (bytes come by a
 * `SpanSource`), the kernel and FUSE (it writes presence bytes and answers `ensure`), the layer's
 * folder and life (`serving` owns both).
 * @module
 */
export { LayerReader } from "./reader.ts";
export type { LayerReaderOptions } from "./options.ts";
export { SpanState, type SpanStates, type SpanStep } from "./span_states.ts";
export type { SpanClass } from "./classes.ts";
export { type SchedulerOptions, SpanScheduler } from "./scheduler.ts";
export type {
  Lane,
  PendingSpan,
  RangeRequest,
  ScheduledLayer,
} from "./pending.ts";
export type { Flow } from "./flow.ts";
export { FileSpanSource, NotYetHere, type SpanSource } from "./source.ts";
export { disposeSource, type SourceDeed, SpanSources } from "./sources.ts";
export { FairShares } from "./shares.ts";
export { SpanMap } from "./map.ts";
export {
  type CrossingHeader,
  HeaderTable,
  type SpanHeaders,
} from "./headers.ts";
export {
  InflatePool,
  type InflatePoolOptions,
  type InflateStream,
} from "./inflate_pool.ts";
export type { InflateOutcome, InflateWork } from "./inflate_messages.ts";
export { type CachedLayer, type IdleLayers, SpanCache } from "./cache.ts";
export { hashLayer } from "./whole.ts";
export type { LayerTail } from "./whole_messages.ts";
export {
  type UncachedLayer,
  type UncachedOptions,
  UncachedSpans,
} from "./uncached.ts";
export { NoSourceError, SpanError, type SpanErrorKind } from "./errors.ts";
