import type { SpanClass } from "./classes.ts";
import { HostPace } from "./pace.ts";
import {
  Lane,
  type PendingSpan,
  Preempted,
  type RangeRequest,
  restOf,
} from "./pending.ts";

/**
 * A background request that will end within this time, ms, is not cancelled: a new connection costs
 * more.
 */
const NEARLY_DONE_MS = 4;
/**
 * If a background request will reach a reader's span within this time, ms, the reader waits for it; else
 * a new request is made.
 */
const NEARLY_THERE_MS = 15;

/**
 * Running and queued requests of one host, by repository. Repositories that hang or trickle are not
 * counted when the scheduler decides whether others may start: they use next to no bandwidth.
 */
export class Host {
  readonly pace = new HostPace();
  /** By repository, in round-robin order: a lane that had its turn goes to the end. */
  readonly #lanes = new Map<string, Lane>();
  /** When something other than background last ran. */
  busyUntilMs = -Infinity;

  constructor(
    /** Its name. */
    readonly name: string,
  ) {}

  /** The lane of a repository. */
  lane(repository: string): Lane {
    return this.#lanes.getOrInsertComputed(
      repository,
      () => new Lane(this.name, repository),
    );
  }

  /** All lanes, in the order of their turns. */
  lanes(): Lane[] {
    return [...this.#lanes.values()];
  }

  /** Forgets repositories without running or queued requests. */
  forgetIdle(): void {
    for (const [repository, lane] of this.#lanes) {
      if (lane.isIdle) this.#lanes.delete(repository);
    }
  }

  /** Notes that a lane had its turn. */
  hadTurn(lane: Lane): void {
    this.#lanes.delete(lane.repository);
    this.#lanes.set(lane.repository, lane);
  }

  /** Whether a span of one of these classes is queued that could start at once if there were room. */
  isWaiting(classes: readonly SpanClass[]): boolean {
    return this.lanes().some(({ slow, queues }) =>
      !slow && classes.some((cls) => queues[cls].size > 0)
    );
  }

  /**
   * Number of running requests that a reader waits for, or will. Does not count slow lanes and the
   * lane `except`.
   */
  urgentBeside(except: Lane | null = null): number {
    let count = 0;
    for (const lane of this.#lanes.values()) {
      if (lane !== except && !lane.slow) count += lane.urgentRequests;
    }
    return count;
  }

  /** Number of running requests, without those of slow repositories. */
  get requestCount(): number {
    let count = 0;
    for (const { slow, requests } of this.#lanes.values()) {
      if (!slow) count += requests.size;
    }
    return count;
  }

  /**
   * Cancels background requests that would delay a reader.
   * @param reader the span it waits for; null: cancels all.
   */
  yieldTo(reader: PendingSpan | null): void {
    const lane = reader?.lane ?? null;
    for (const request of this.#requests(lane?.slow ? lane : null)) {
      if (request.cls !== "background") continue;
      if (reader !== null && this.#comesSoon(request, reader)) continue;
      // A reader waits for a part of this request; once that part is here, the request is looked at
      // again.
      const joined = reader?.request !== request &&
        restOf(request).some(({ cls }) => cls === "demand");
      if (!joined) request.abort.abort(new Preempted("a reader waits"));
    }
  }

  #requests(of: Lane | null): RangeRequest[] {
    const lanes = of === null ? this.lanes() : [of];
    return lanes.flatMap(({ requests }) => [...requests]);
  }

  /**
   * Whether a request is worth waiting for, because it is nearly done or nearly at the reader's span.
   */
  #comesSoon(request: RangeRequest, reader: PendingSpan): boolean {
    const { layer, next, received, sizeBytes, spans } = request;
    const leftMs = this.pace.transferMs(sizeBytes - received);
    if (leftMs < NEARLY_DONE_MS) return true;
    if (reader.request !== request) return false;
    if (spans.indexOf(reader) < next) return true; // it has arrived
    const first = spans[0]!.span;
    const before = layer.compressedStart(reader.span) -
      layer.compressedStart(first) - received;
    return this.pace.transferMs(before) < NEARLY_THERE_MS;
  }
}
