import { AHEAD, URGENT } from "./classes.ts";
import { HostPace } from "./pace.ts";
import {
  hasReader,
  isUrgent,
  Lane,
  Preempted,
  type RangeRequest,
  restOf,
} from "./pending.ts";

/**
 * A request that nobody waits for and that will end within this time, ms, is not cancelled: a new
 * connection costs more.
 */
const NEARLY_DONE_MS = 4;
/**
 * Nor is one for spans that are fetched ahead, if it will end within this time, ms, by their class: what is on the line
 * would have to come twice. What a recorded order names is needed in a moment; what is read ahead most likely. No
 * request for such spans is longer than that: else readers that come one after another would cancel it each time.
 */
const AHEAD_MS = { expected: 100, prefetch: 50 } as const;
/**
 * If a request will reach a reader's span within this time, ms, the reader waits for it; else a new request
 * is made.
 */
const NEARLY_THERE_MS = 15;
/**
 * Prefetching goes on when what readers wait for, and what is prefetched already, comes in the time that the
 * host takes to answer: so the line is never idle, and what comes next takes nothing from what comes now. So
 * much more, ms, for what this machine adds, and so long where the time is not known.
 */
const MORE_OVERLAP_MS = 10;
const UNKNOWN_OVERLAP_MS = 30;
/** As long as the rate is unknown, so many requests prefetch, and none beside a reader's. */
const FIRST_PREFETCHES = 2;

/** What one host's repositories have of the budgets at a moment. */
export interface HostFigures {
  /** The registry; empty for files of this machine. */
  readonly host: string;
  /** Compressed bytes that are in flight or wait to be inflated. */
  readonly heldBytes: number;
  /** How many these may be, beside what the other hosts have. */
  readonly shareBytes: number;
  /** Range requests that run. */
  readonly requests: number;
  /** Spans that wait for their turn. */
  readonly waitingSpans: number;
  /** Repositories that hang or trickle: each has a small budget of its own. */
  readonly slowRepositories: number;
}

/** For so long, ms, after its last reader a host has readers: their next read follows. */
const READERS_MS = 1_000;

/**
 * Running and queued requests of one host, by repository. Repositories that hang or trickle are not
 * counted when the scheduler decides whether others may start: they use next to no bandwidth.
 */
export class Host {
  readonly pace = new HostPace();
  /** By repository, in round-robin order: a lane that had its turn goes to the end. */
  readonly #lanes = new Map<string, Lane>();
  /** When a reader last wanted bytes of it, but of a repository that hangs, trickles or lies. */
  #readerMs = -Infinity;
  /** When something other than background last ran. */
  busyUntilMs = -Infinity;

  constructor(
    /** Its name. */
    readonly name: string,
  ) {}

  /** A reader wants bytes of one of its repositories. */
  wanted({ slow, lies }: Lane, nowMs: number): void {
    if (!slow && !lies) this.#readerMs = nowMs;
  }

  /**
   * How many requests may run at a time. Beside readers of other hosts, only as many as keep the line full: the more
   * come in at a time, the longer each waits for its turn in this process.
   */
  requestsBeside(hosts: Iterable<Host>, nowMs: number): number {
    for (const host of hosts) {
      if (host === this || host.#readerMs < nowMs - READERS_MS) continue;
      return this.pace.enough;
    }
    return this.pace.requests;
  }

  /** What its repositories have at this moment. @param shareBytes how many bytes these may be. */
  figures(shareBytes: number): HostFigures {
    const sum = (of: (lane: Lane) => number) =>
      this.lanes().reduce((all, lane) => all + of(lane), 0);
    return {
      host: this.name,
      heldBytes: sum(({ heldBytes }) => heldBytes),
      shareBytes,
      requests: sum(({ requests }) => requests.size),
      waitingSpans: sum(({ queues }) =>
        Object.values(queues).reduce((all, { size }) => all + size, 0)
      ),
      slowRepositories: sum(({ slow }) => Number(slow)),
    };
  }

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

  /** Whether a span of such a class is queued that could start at once if there were room. */
  isWaiting(which: "ahead" | "urgent"): boolean {
    const classes = which === "ahead" ? AHEAD : URGENT;
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

  /** Whether another request can be sent ahead of readers so that the line stays full and nobody waits for it. */
  get mayPrefetch(): boolean {
    let bytes = 0;
    let count = 0;
    for (const { slow, requests } of this.#lanes.values()) {
      if (slow) continue;
      for (const request of requests) {
        if (!isUrgent(request)) continue; // cancelled when the first bytes come
        bytes += request.sizeBytes - request.received;
        count++;
      }
    }
    if (count === 0) return true;
    return this.pace.bytesPerMs === 0
      ? count < FIRST_PREFETCHES && !this.hasReader
      : this.pace.transferMs(bytes) < this.#overlapMs;
  }

  /**
   * The most compressed bytes of one request with spans that are fetched ahead, by their class; 0: one span. While
   * nothing is known of the line, what is read ahead comes in one request, and is cancelled for any reader.
   */
  get maxAheadBytes(): Record<keyof typeof AHEAD_MS, number> {
    const { bytesPerMs } = this.pace;
    return {
      expected: bytesPerMs * AHEAD_MS.expected,
      prefetch: bytesPerMs === 0 ? Infinity : bytesPerMs * AHEAD_MS.prefetch,
    };
  }

  /** Whether a reader waits for a span of this host, queued or in a request. */
  get hasReader(): boolean {
    for (const { slow, queues, requests } of this.#lanes.values()) {
      if (slow) continue;
      if (queues.demand.size > 0) return true;
      for (const request of requests) if (hasReader(request)) return true;
    }
    return false;
  }

  /**
   * Cancels what delays readers: requests of which nobody waits for any part, and those in which a long way
   * leads to the first part that somebody waits for. What has come of them is kept. On a line so fast that what
   * readers wait for is here in a moment, half of it serves them as well: a new connection would cost more.
   * @param lane the slow repository of the only reader; null: any other.
   */
  yieldToReaders(lane: Lane | null = null): void {
    const isFast = !this.#takesLonger(this.#readerBytes, NEARLY_THERE_MS);
    for (const request of this.#requests(lane)) {
      if (isFast && isUrgent(request) && !hasReader(request)) continue;
      if (!this.#delays(request)) continue;
      request.abort.abort(new Preempted("a reader waits"));
    }
  }

  /** Compressed bytes of the spans that readers wait for, queued or in requests. */
  get #readerBytes(): number {
    let bytes = 0;
    for (const { queues, requests } of this.#lanes.values()) {
      for (const { sizeBytes } of queues.demand) bytes += sizeBytes;
      for (const { spans, next } of requests) {
        for (let at = next; at < spans.length; at++) {
          if (spans[at]!.cls === "demand") bytes += spans[at]!.sizeBytes;
        }
      }
    }
    return bytes;
  }

  /** Cancels background requests, but for those in which a reader waits for a part. */
  cancelBackground(): void {
    for (const request of this.#requests(null)) {
      if (request.cls !== "background" || hasReader(request)) continue;
      request.abort.abort(new Preempted("the background rests"));
    }
  }

  #requests(of: Lane | null): RangeRequest[] {
    const lanes = of === null ? this.lanes() : [of];
    return lanes.flatMap(({ requests }) => [...requests]);
  }

  /** Whether readers would be served earlier without a request, or with a new one. */
  #delays(request: RangeRequest): boolean {
    const { layer, received, sizeBytes, spans } = request;
    const rest = restOf(request);
    const [next] = rest;
    if (next === undefined || next.cls === "demand") return false;
    const reader = rest.find(({ cls }) => cls === "demand");
    if (reader === undefined) {
      const left = sizeBytes - received;
      if (rest.some(({ cls }) => cls === "expected")) {
        return this.pace.transferMs(left) >= AHEAD_MS.expected;
      }
      return this.#takesLonger(
        left,
        rest.some(({ cls }) => cls === "prefetch")
          ? AHEAD_MS.prefetch
          : NEARLY_DONE_MS,
      );
    }
    const before = layer.compressedStart(reader.span) -
      layer.compressedStart(spans[0]!.span) - received;
    return this.#takesLonger(before, NEARLY_THERE_MS);
  }

  get #overlapMs(): number {
    const { answerMs } = this.pace;
    return answerMs === Infinity
      ? UNKNOWN_OVERLAP_MS
      : answerMs + MORE_OVERLAP_MS;
  }

  #takesLonger(bytes: number, ms: number): boolean {
    return this.pace.bytesPerMs === 0 || this.pace.transferMs(bytes) >= ms;
  }
}
