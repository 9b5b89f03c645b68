import { SPAN_CLASSES, type SpanClass } from "./classes.ts";
import { HostPace } from "./pace.ts";
import {
  isUrgent,
  type PendingSpan,
  Preempted,
  type RangeRequest,
  restOf,
} from "./pending.ts";

/** A background request that is over so soon, ms, is not worth a new connection. */
const NEARLY_DONE_MS = 4;
/** A reader waits so long, ms, for a background request to come to its span, else asks anew. */
const NEARLY_THERE_MS = 15;

/** What is asked of one host, and what is to be. */
export class Host {
  readonly pace = new HostPace();
  readonly queues: Readonly<Record<SpanClass, Set<PendingSpan>>> = {
    demand: new Set(),
    prefetch: new Set(),
    background: new Set(),
  };
  /** Range requests under way. */
  readonly requests = new Set<RangeRequest>();
  /** When something other than background last ran. */
  busyUntilMs = -Infinity;

  /** The most urgent class that is queued; undefined when nothing is. */
  get nextClass(): SpanClass | undefined {
    return SPAN_CLASSES.find((cls) => this.queues[cls].size > 0);
  }

  /** Number of requests under way that somebody waits for, or will. */
  get urgentRequests(): number {
    let count = 0;
    for (const request of this.requests) if (isUrgent(request)) count++;
    return count;
  }

  /**
   * Gives up background requests that a reader would wait behind.
   * @param reader what it waits for; null: all of them.
   */
  yieldTo(reader: PendingSpan | null): void {
    for (const request of this.requests) {
      if (request.cls !== "background") continue;
      if (reader !== null && this.#comesSoon(request, reader)) continue;
      // Somebody waits for a part of it, and hears of the rest when that has come.
      const joined = reader?.request !== request &&
        restOf(request).some(({ cls }) => cls === "demand");
      if (!joined) request.abort.abort(new Preempted("a reader waits"));
    }
  }

  /** Whether a request is worth waiting for, as it is nearly done or nearly at the reader's span. */
  #comesSoon(request: RangeRequest, reader: PendingSpan): boolean {
    const { layer, next, received, sizeBytes, spans } = request;
    const leftMs = this.pace.transferMs(sizeBytes - received);
    if (leftMs < NEARLY_DONE_MS) return true;
    if (reader.request !== request) return false;
    if (spans.indexOf(reader) < next) return true; // it has come
    const first = spans[0]!.span;
    const before = layer.compressedStart(reader.span) -
      layer.compressedStart(first) - received;
    return this.pace.transferMs(before) < NEARLY_THERE_MS;
  }
}
