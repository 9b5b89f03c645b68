import { setImmediate } from "node:timers/promises";
import type { SpanTable } from "../../formats/ztoc/mod.ts";

/**
 * Compressed bytes asked for ahead of the line: what it gives in `AHEAD_MS`, within these bounds. The
 * rest of an order waits here, where it costs nothing, and not in the scheduler's queues.
 */
const AHEAD_MS = 250;
const LEAST_AHEAD_BYTES = 2 * 2 ** 20;
const MOST_AHEAD_BYTES = 32 * 2 ** 20;
/** So many spans may fail before the rest is left to readers, who wait and try again. */
const MAX_FAILURES = 8;
/** Ranges looked at in one turn of the event loop. */
const RANGES_A_TURN = 1024;

/** A layer whose spans can be fetched before anybody reads them. */
export interface PrefetchedLayer {
  /** Where its spans are, in the blob and in the tar. */
  readonly spans: SpanTable;
  /** How many more uncompressed bytes its cache takes without giving up others. */
  readonly roomBytes: number;
  /** The throughput of its host, compressed bytes per ms; 0 while unknown. */
  readonly bytesPerMs: number;
  /** Whether a span is neither here nor under way, and may be fetched. */
  isMissing(span: number): boolean;
  /** Fetches a span in the class `expected`. @throws as `LayerReader.ensure` */
  prefetch(span: number, signal: AbortSignal): Promise<void>;
}

/** A part of a layer's tar that is expected to be read. */
export interface OrderedRange {
  /** Whose bytes. */
  readonly layer: PrefetchedLayer;
  /** Where they begin in the uncompressed tar; what lies outside of it is passed over. */
  readonly offset: number;
  /** How many they are; ranges without bytes are passed over. */
  readonly length: number;
}

/** How an order is fetched. */
export interface InOrderOptions {
  /** Ends it: what is queued is dropped, what is being received still comes. */
  readonly signal: AbortSignal;
  /** The most compressed bytes to fetch. Default: no limit. */
  readonly maxBytes?: number;
  /** Called with the compressed bytes of each span that has come. */
  readonly onFetched?: (bytes: number) => void;
}

/** What became of an order. */
export interface InOrderOutcome {
  /** Compressed bytes of the spans that it fetched. */
  readonly fetchedBytes: number;
  /** How many spans it fetched. */
  readonly spans: number;
  /** Why it ended: all is here or under way, the cache is full, `maxBytes` is reached, or too much failed. */
  readonly end: "all" | "no room" | "limit" | "failures";
}

/**
 * Fetches the spans that hold some ranges, in their order: one queue, whatever layers the ranges are of. A
 * span that several ranges share comes with the first of them; one that is here, or under way for somebody
 * else, is passed over.
 *
 * It keeps the line full, a quarter of a second of it ahead (`scheduler.ts` does the rest): a waiting reader goes
 * first always, interrupts what is being received, and finds it kept; a reader of a span that is queued
 * here has it moved to the front. It fetches no more than the caches have room for, so nothing is evicted
 * for it, and nobody sees its failures: a reader asks again.
 *
 * @example
 * ```ts ignore
 * // `one` and `other` are open layers of an image.
 * const ranges = [
 *   { layer: one, offset: 512, length: 4096 },
 *   { layer: other, offset: 1024, length: 4096 },
 * ];
 * const { fetchedBytes, end } = await store.ahead.fetch(ranges, { signal, maxBytes: 64 * 2 ** 20 });
 * ```
 * @returns when all of it has arrived or failed.
 * @throws the signal's reason
 */
export async function prefetchInOrder(
  ranges: AsyncIterable<OrderedRange> | Iterable<OrderedRange>,
  options: InOrderOptions,
): Promise<InOrderOutcome> {
  const order = new Order(options);
  let turn = 0;
  for await (const { layer, offset, length } of ranges) {
    const { spans } = layer;
    const from = Math.max(0, offset);
    const to = Math.min(offset + length, spans.end(spans.count - 1));
    if (!(from < to)) continue;
    const last = spans.spanAt(to - 1);
    for (let span = spans.spanAt(from); span <= last; span++) {
      if (!layer.isMissing(span)) continue;
      const end = await order.fetch(layer, span);
      if (end !== null) return await order.outcome(end);
    }
    if (++turn % RANGES_A_TURN === 0) await setImmediate();
  }
  return await order.outcome("all");
}

/** The spans of one order that are under way. */
class Order {
  readonly #signal: AbortSignal;
  readonly #maxBytes: number;
  readonly #onFetched: (bytes: number) => void;
  readonly #underway = new Set<Promise<void>>();
  /** Compressed, and uncompressed. */
  #aheadBytes = 0;
  #arrivingBytes = 0;
  #askedBytes = 0;
  #fetchedBytes = 0;
  #spans = 0;
  #failures = 0;

  constructor(
    { signal, maxBytes = Infinity, onFetched = () => {} }: InOrderOptions,
  ) {
    this.#signal = signal;
    this.#maxBytes = maxBytes;
    this.#onFetched = onFetched;
  }

  /** Asks for a span once there is room ahead. @returns why it did not. @throws the signal's reason */
  async fetch(
    layer: PrefetchedLayer,
    span: number,
  ): Promise<InOrderOutcome["end"] | null> {
    const { spans } = layer;
    const compressed = spans.compressedEnd(span) - spans.compressedStart(span);
    const size = spans.end(span) - spans.start(span);
    if (this.#askedBytes + compressed > this.#maxBytes) return "limit";
    while (
      this.#underway.size > 0 &&
      this.#aheadBytes + compressed > aheadBytes(layer.bytesPerMs)
    ) await Promise.race(this.#underway);
    this.#signal.throwIfAborted();
    if (this.#failures >= MAX_FAILURES) return "failures";
    if (this.#arrivingBytes + size > layer.roomBytes) return "no room";
    if (!layer.isMissing(span)) return null; // a reader asked for it meanwhile
    this.#askedBytes += compressed;
    this.#aheadBytes += compressed;
    this.#arrivingBytes += size;
    const coming = layer.prefetch(span, this.#signal).then(() => {
      this.#fetchedBytes += compressed;
      this.#spans++;
      this.#onFetched(compressed);
    }, () => {
      this.#failures++; // told to the reader who wants it
    }).finally(() => {
      this.#aheadBytes -= compressed;
      this.#arrivingBytes -= size;
      this.#underway.delete(coming);
    });
    this.#underway.add(coming);
    return null;
  }

  /** Waits for what is under way. @throws the signal's reason */
  async outcome(end: InOrderOutcome["end"]): Promise<InOrderOutcome> {
    await Promise.all(this.#underway);
    this.#signal.throwIfAborted();
    return { fetchedBytes: this.#fetchedBytes, spans: this.#spans, end };
  }
}

function aheadBytes(bytesPerMs: number): number {
  if (bytesPerMs === 0) return LEAST_AHEAD_BYTES;
  return Math.min(
    MOST_AHEAD_BYTES,
    Math.max(LEAST_AHEAD_BYTES, bytesPerMs * AHEAD_MS),
  );
}
