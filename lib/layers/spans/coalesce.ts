import type { PendingSpan, ScheduledLayer } from "./pending.ts";
import type { SpanSource } from "./source.ts";
import { SpanState } from "./span_states.ts";

/** The pending span at that position, if it is queued for that source; otherwise undefined. */
function queuedAt(
  { states, pending }: ScheduledLayer,
  span: number,
  source: SpanSource | null,
): PendingSpan | undefined {
  if (states.at(span) !== SpanState.QUEUED) return undefined;
  const queued = pending.get(span);
  return queued?.source === source ? queued : undefined;
}

/** How long a range may become. */
export interface RangeBounds {
  /** The most compressed bytes; a single larger span is still requested. */
  readonly maxBytes: number;
  /** The most compressed bytes once a span is in it that is fetched ahead, by its class. */
  readonly maxAheadBytes: Readonly<Record<"expected" | "prefetch", number>>;
}

/**
 * Coalesces queued neighbours of a span into one range: first those of the same urgency, then less
 * urgent ones behind them, which delay nobody.
 * @returns queued spans, in order and without a gap.
 */
export function coalesce(
  seed: PendingSpan,
  { maxBytes, maxAheadBytes }: RangeBounds,
): PendingSpan[] {
  const { layer, source } = seed;
  let most = maxBytes;
  const bound = ({ cls }: PendingSpan) => {
    if (cls === "expected" || cls === "prefetch") {
      most = Math.min(most, maxAheadBytes[cls]);
    }
  };
  bound(seed);
  const range = [seed];
  const urgent = seed.cls !== "background";
  let start = layer.compressedStart(seed.span);
  let end = layer.compressedEnd(seed.span);
  const take = (span: number): boolean => {
    const pending = queuedAt(layer, span, source);
    if (pending === undefined || pending.cls === "background" && urgent) {
      return false;
    }
    const from = Math.min(start, layer.compressedStart(span));
    const to = Math.max(end, layer.compressedEnd(span));
    bound(pending);
    if (to - from > most) return false;
    start = from;
    end = to;
    if (span < seed.span) range.unshift(pending);
    else range.push(pending);
    return true;
  };
  for (let span = seed.span + 1; take(span); span++);
  // Spans before the seed delay it, so only equally urgent ones are added there.
  for (
    let span = seed.span - 1;
    queuedAt(layer, span, source)?.cls === seed.cls && take(span);
    span--
  );
  return range;
}
