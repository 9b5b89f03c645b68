import type { PendingSpan, ScheduledLayer } from "./pending.ts";
import type { SpanSource } from "./source.ts";
import { SpanState } from "./span_states.ts";

/** The pending span of a layer that waits for a request to that source; undefined when it is anything else. */
function queuedAt(
  { states, pending }: ScheduledLayer,
  span: number,
  source: SpanSource | null,
): PendingSpan | undefined {
  if (states.at(span) !== SpanState.QUEUED) return undefined;
  const queued = pending.get(span);
  return queued?.source === source ? queued : undefined;
}

/**
 * Coalesces queued neighbours of a span into one range: those as urgent as it, and behind them less
 * urgent ones, as they delay nobody.
 * @param maxBytes compressed bytes of the range, unless that one span alone has more.
 * @returns queued spans, in order and without gap.
 */
export function coalesce(seed: PendingSpan, maxBytes: number): PendingSpan[] {
  const { layer, source } = seed;
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
    if (to - from > maxBytes) return false;
    start = from;
    end = to;
    if (span < seed.span) range.unshift(pending);
    else range.push(pending);
    return true;
  };
  for (let span = seed.span + 1; take(span); span++);
  // What is asked for before the seed delays it: only what is as urgent goes there.
  for (
    let span = seed.span - 1;
    queuedAt(layer, span, source)?.cls === seed.cls && take(span);
    span--
  );
  return range;
}
