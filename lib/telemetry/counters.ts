/**
 * Counts of events, by reason: what an operator wants to see without reading the log. They begin with the
 * process.
 */

/** Events that are counted. */
export type CountedEvent =
  /** A layer was left to containerd, which downloads and unpacks it. */
  | "not_lazy"
  /** The kernel got an error: a `read` whose bytes could not be had. */
  | "failed"
  /** Filling a layer in the background: `failed`, to be tried again, or `dropped` for good. */
  | "background";

const counts = new Map<CountedEvent, Map<string, number>>();

/**
 * Counts an event.
 * @param reason one of few words, never a name from outside: each is a time series.
 */
export function countEvent(event: CountedEvent, reason: string): void {
  let byReason = counts.get(event);
  if (byReason === undefined) counts.set(event, byReason = new Map());
  byReason.set(reason, (byReason.get(reason) ?? 0) + 1);
}

/** How often an event has happened, by reason. */
export function eventCounts(
  event: CountedEvent,
): ReadonlyMap<string, number> {
  return counts.get(event) ?? new Map();
}
