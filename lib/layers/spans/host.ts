import type { SpanClass } from "./classes.ts";
import { HostPace } from "./pace.ts";
import {
  Lane,
  type PendingSpan,
  Preempted,
  type RangeRequest,
  restOf,
} from "./pending.ts";

/** A background request that is over so soon, ms, is not worth a new connection. */
const NEARLY_DONE_MS = 4;
/** A reader waits so long, ms, for a background request to come to its span, else asks anew. */
const NEARLY_THERE_MS = 15;

/**
 * What is asked of one host, and what is to be, repository by repository. Those that hang or drip are
 * not counted where the others' turn is decided: nothing of the line is theirs.
 */
export class Host {
  readonly pace = new HostPace();
  /** By repository; who had its turn goes to the end. */
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

  /** A lane had its turn. */
  hadTurn(lane: Lane): void {
    this.#lanes.delete(lane.repository);
    this.#lanes.set(lane.repository, lane);
  }

  /** Whether something of a class waits that might come at once if there were room for it. */
  isWaiting(classes: readonly SpanClass[]): boolean {
    return this.lanes().some(({ slow, queues }) =>
      !slow && classes.some((cls) => queues[cls].size > 0)
    );
  }

  /** Number of requests under way that somebody waits for, or will, but for a lane and slow ones. */
  urgentBeside(except: Lane | null = null): number {
    let count = 0;
    for (const lane of this.#lanes.values()) {
      if (lane !== except && !lane.slow) count += lane.urgentRequests;
    }
    return count;
  }

  /** Number of requests under way, but for slow repositories. */
  get requestCount(): number {
    let count = 0;
    for (const { slow, requests } of this.#lanes.values()) {
      if (!slow) count += requests.size;
    }
    return count;
  }

  /**
   * Gives up background requests that a reader would wait behind.
   * @param reader what it waits for; null: all of them.
   */
  yieldTo(reader: PendingSpan | null): void {
    const lane = reader?.lane ?? null;
    for (const request of this.#requests(lane?.slow ? lane : null)) {
      if (request.cls !== "background") continue;
      if (reader !== null && this.#comesSoon(request, reader)) continue;
      // Somebody waits for a part of it, and hears of the rest when that has come.
      const joined = reader?.request !== request &&
        restOf(request).some(({ cls }) => cls === "demand");
      if (!joined) request.abort.abort(new Preempted("a reader waits"));
    }
  }

  #requests(of: Lane | null): RangeRequest[] {
    const lanes = of === null ? this.lanes() : [of];
    return lanes.flatMap(({ requests }) => [...requests]);
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
