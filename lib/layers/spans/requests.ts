/** Failed tries of a span by source, and range requests to one source. @module */
import { isBefore, type SpanClass } from "./classes.ts";
import { Flow } from "./flow.ts";
import type { Lane, PendingSpan, RangeRequest } from "./pending.ts";
import type { SpanSource } from "./source.ts";

/** Whether `other` was tried less often for a span than `source`, if the current try counts too. */
export function isUntried(
  { tried }: PendingSpan,
  other: SpanSource,
  source: SpanSource,
): boolean {
  return (tried.get(other) ?? 0) <= (tried.get(source) ?? 0);
}

/** Counts a failed try of a source for a span. */
export function triedInVain({ tried }: PendingSpan, source: SpanSource): void {
  tried.set(source, (tried.get(source) ?? 0) + 1);
}

/** Whether there is still another source to try after one has failed. */
export function hasOther(
  { tried, layer: { sources } }: PendingSpan,
  source: SpanSource,
): boolean {
  const times = tried.get(source) ?? 0;
  return sources.all().some((other) => (tried.get(other) ?? 0) < times);
}

/** A range request for spans that wait for the same source. */
export function makeRequest(
  lane: Lane,
  spans: readonly PendingSpan[],
): RangeRequest {
  const first = spans[0]!;
  const { layer, source } = first;
  return {
    layer,
    lane,
    source: source!, // it is in a lane
    spans,
    flow: new Flow(performance.now()),
    cls: spans.reduce<SpanClass>(
      (most, { cls }) => isBefore(cls, most) ? cls : most,
      "background",
    ),
    abort: new AbortController(),
    next: 0,
    received: 0,
    sizeBytes: layer.compressedEnd(spans.at(-1)!.span) -
      layer.compressedStart(first.span),
  };
}
