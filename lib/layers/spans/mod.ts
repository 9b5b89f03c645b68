/**
 * Which spans of a layer are cached, and how the others are fetched.
 *
 * A *span* is a piece of a layer's compressed bytes that can be inflated by itself, from a checkpoint of
 * the ztoc; inflating it gives one piece of the uncompressed tar. A span's states and the steps between
 * them are one table in `span_states.ts`, which also draws them. Every change is a step of that table,
 * and a step that is not in it throws. Usually a span goes from missing to queued, fetching, inflating
 * and present. When its room is needed it is leaving, and then missing again.
 *
 * When a span arrives, its bytes go into the layer's data file first. Then it is marked in the `SpanMap`
 * (durable) and in the presence byte that the FUSE Workers read (`presence/mod.ts`). Eviction uses the
 * reverse order. The presence byte is cleared first. Then the durable mark is removed and, in parallel,
 * `onGone` is called, which resolves when every reader that saw the span present has finished its copy.
 * Only after both is the hole punched. So a reader that announces its read and sees the span present
 * always reads the layer's bytes.
 *
 * **What is where.** `LayerReader` is the entry point of one layer: `ensure` makes a range readable,
 * `copy` reads it. Its parts share the layer's spans (`layer_spans.ts`: the states, and what goes with
 * each):
 *
 * | job | file |
 * |---|---|
 * | requests and waiters: join, read ahead, leave | `wants.ts`, `read_ahead.ts` |
 * | fetch ranges of several layers before they are read, in a given order | `in_order.ts` |
 * | choose what is fetched next: in class order demand, expected, prefetch, background | `scheduler.ts`, `host.ts`, `coalesce.ts` |
 * | choose from where: the sources of a layer and their health | `sources.ts`, `source.ts` |
 * | keep hosts and repositories from blocking each other | `pending.ts`, `flow.ts`, `shares.ts`, `turn_queue.ts` |
 * | bound the memory of bytes in flight | `held_bytes.ts` |
 * | fetch: ranges from one `SpanSource`, each span passed on once its part has arrived | `fetcher.ts` |
 * | check, inflate and write, in Workers | `inflate_pool.ts`, `inflate_worker.ts` |
 * | arrival: retry, check headers that cross spans, mark | `arrivals.ts`, `headers.ts`, `map.ts` |
 * | read cached bytes | `bytes.ts`, `uncached.ts` |
 * | bytes that a start pack brings ahead of their spans | `ranges.ts`, `range_table.ts`, `packed_reads.ts` |
 * | compare what an earlier process left, before its first use | `checks.ts` |
 * | evict, withdraw, condemn | `evictions.ts` |
 * | keep all layers within a disk budget | `cache.ts` |
 * | check a whole layer against its diff ID | `whole.ts` |
 * | have a source show that it has the layer | `challenge.ts` |
 * | fill a layer from a proven one with the same tar | `copies.ts` |
 * | tell a damaged disk from a lying ztoc | `audit.ts` |
 *
 * **Who may call what when.** Everything here belongs to the main isolate, except the Workers' own
 * modules. Nothing of a reader is used after `close` has resolved; then its descriptors may be closed.
 *
 * **What it may touch**: the data file and the span map of a layer, through descriptors it is given; the
 * headers file. **What it must not know**: registries, credentials and images (bytes come from a
 * `SpanSource`), the kernel and FUSE (it writes presence bytes and answers `ensure`), the layer's folder
 * and life (`serving` owns both).
 * @module
 */
export type { BackgroundLimits } from "./background_rate.ts";
export type { LayerActivity } from "./layer_spans.ts";
export { LayerReader } from "./reader.ts";
export type {
  LayerRanges,
  RangedSpans,
  RangeFigures,
  RangeLook,
} from "./ranges.ts";
export type { CutRanges, PackedRange } from "./range_table.ts";
export type { ProvenTar } from "./copies.ts";
export type { LayerReaderOptions } from "./options.ts";
export { SpanState, type SpanStates, type SpanStep } from "./span_states.ts";
export type { SpanClass } from "./classes.ts";
export type { HostFigures } from "./host.ts";
export { type SchedulerOptions, SpanScheduler } from "./scheduler.ts";
export type {
  Lane,
  PendingSpan,
  RangeRequest,
  ScheduledLayer,
} from "./pending.ts";
export type { Flow } from "./flow.ts";
export { NotYetHere, type SpanSource } from "./source.ts";
export { disposeSource, type SourceDeed, SpanSources } from "./sources.ts";
export { FairShares } from "./shares.ts";
export { TurnQueue } from "./turn_queue.ts";
export { SpanMap } from "./map.ts";
export {
  type CrossingHeader,
  HeaderTable,
  type SpanHeaders,
} from "./headers.ts";
export {
  type HeaderIndex,
  type HeaderSource,
  makeHeaderFile,
  readHeaderFile,
} from "./header_file.ts";
export {
  InflatePool,
  type InflatePoolOptions,
  type InflateStream,
  type StreamedRange,
} from "./inflate_pool.ts";
export type {
  FilePart,
  InflateOutcome,
  InflateWork,
  PackedBytes,
  SpanPacking,
  SumOutcome,
} from "./inflate_messages.ts";
export { type CachedLayer, type IdleLayers, SpanCache } from "./cache.ts";
export { type ChallengedLayer, showsLayer } from "./challenge.ts";
export {
  type InOrderOptions,
  type InOrderOutcome,
  type OrderedRange,
  type PrefetchedLayer,
  prefetchInOrder,
} from "./in_order.ts";
export { hashLayer } from "./whole.ts";
export { startHasher, startInflater } from "./start.ts";
export type { LayerTail } from "./whole_messages.ts";
export {
  type UncachedLayer,
  type UncachedOptions,
  UncachedSpans,
} from "./uncached.ts";
export { NoSourceError, SpanError, type SpanErrorKind } from "./errors.ts";
