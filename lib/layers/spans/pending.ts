/** A pending span, the range request that fetches it, and the lane (queue) of its repository. @module */
import { SPAN_CLASSES, type SpanClass } from "./classes.ts";
import type { Flow } from "./flow.ts";
import type { SpanSource } from "./source.ts";
import type { SpanSources } from "./sources.ts";
import type { SpanStates } from "./span_states.ts";

/** How long, ms, a repository counts as slow after it gave next to nothing; longer if it stays so. */
const SLOW_MS = 30_000;

/** How long, ms, a repository counts as one that lies after it gave wrong bytes. */
const LYING_MS = 30_000;
/** How long, ms, it rests after the second wrong span; twice as long after each further one, up to the last. */
const FIRST_REST_MS = 50;
const LAST_REST_MS = 800;

/** One wanted span, from the request until it has arrived or failed. */
export class PendingSpan {
  static #count = 0;
  /** Ascending in the order in which spans are wanted. */
  readonly number = PendingSpan.#count++;
  /** Number of waiters; a queued span without waiters is dropped. */
  waiters = 1;
  /** The range request that fetches it; null while it is queued or recalled. */
  request: RangeRequest | null = null;
  /** The lane it is, or was last, queued in; null before the scheduler has it. */
  lane: Lane | null = null;
  /** The source it is, or was last, requested from. */
  source: SpanSource | null = null;
  /** How often each source failed to deliver it. */
  readonly tried = new Map<SpanSource, number>();
  /** How often the bytes that arrived were unusable. */
  refusals = 0;
  /** Whether its first reader triggers more read-ahead. */
  watched = false;
  readonly #done = Promise.withResolvers<void>();
  #settled = false;

  /** Begins with one waiter. Its layer takes the step `want` together with this. */
  constructor(
    /** Whose span it is. */
    readonly layer: ScheduledLayer,
    /** Number of the span. */
    readonly span: number,
    /** Class of the most urgent waiter. Raised when a more urgent one joins, never lowered. */
    public cls: SpanClass,
  ) {
    this.#done.promise.catch(() => {}); // each waiter handles the error itself
  }

  /** Resolves when the span is here. */
  get done(): Promise<void> {
    return this.#done.promise;
  }

  /** Whether it has arrived or failed. Another one may be pending for the same span by now. */
  get settled(): boolean {
    return this.#settled;
  }

  /** Its compressed bytes. */
  get sizeBytes(): number {
    const { layer, span } = this;
    return layer.compressedEnd(span) - layer.compressedStart(span);
  }

  /** Tells all waiters that the span is here. */
  resolve(): void {
    this.#settled = true;
    this.#done.resolve();
  }

  /** Tells all waiters that it will not arrive. */
  reject(error: unknown): void {
    this.#settled = true;
    this.#done.reject(error);
  }
}

/** One range request for neighbouring spans of a layer. */
export interface RangeRequest {
  /** Whose spans they are. */
  readonly layer: ScheduledLayer;
  /** Which of the layer's sources is asked. */
  readonly source: SpanSource;
  /** That source's repository. */
  readonly lane: Lane;
  /** Watches its progress. */
  readonly flow: Flow;
  /** In ascending order, without a gap. */
  readonly spans: readonly PendingSpan[];
  /** The most urgent class among them when it was sent. */
  readonly cls: SpanClass;
  /** Cancels it; with the reason `Preempted` its spans are queued again. */
  readonly abort: AbortController;
  /** Index in `spans` of the next one to arrive. */
  next: number;
  /** Compressed bytes that have arrived. */
  received: number;
  /** Compressed bytes of all its spans. */
  readonly sizeBytes: number;
}

/** The spans of a request that have not arrived yet. */
export function restOf({ spans, next }: RangeRequest): readonly PendingSpan[] {
  return spans.slice(next);
}

/** Whether a reader waits, or will soon, for the rest of a request. */
export function isUrgent(request: RangeRequest): boolean {
  return request.cls !== "background" ||
    restOf(request).some(({ cls }) => cls !== "background");
}

/** Whether a reader waits for a part of a request that has not come yet. */
export function hasReader({ spans, next }: RangeRequest): boolean {
  for (let at = next; at < spans.length; at++) {
    if (spans[at]!.cls === "demand") return true;
  }
  return false;
}

/** Running and queued requests of one repository of a host. */
export class Lane {
  /** Queued spans by class. */
  readonly queues: Readonly<Record<SpanClass, Set<PendingSpan>>> = {
    demand: new Set(),
    expected: new Set(),
    prefetch: new Set(),
    background: new Set(),
  };
  /** Running range requests. */
  readonly requests = new Set<RangeRequest>();
  /** Bytes of requested spans that are not settled, over all its requests. */
  heldBytes = 0;
  /** The part of `heldBytes` that counts against the budget of slow repositories. */
  slowBytes = 0;
  #slowUntilMs = -Infinity;
  #lyingUntilMs = -Infinity;
  #lies = 0;
  #restsUntilMs = -Infinity;
  #slow = false;

  /** A lane without requests. */
  constructor(
    /** The registry; empty for files of this machine. */
    readonly host: string,
    /** Its name on that host. */
    readonly repository: string,
  ) {}

  /** Unique among all lanes. */
  get name(): string {
    return `${this.host} ${this.repository}`;
  }

  /** Puts the queued spans of a class into the order in which they were wanted. */
  sort(cls: SpanClass): void {
    const spans = [...this.queues[cls]].sort((a, b) => a.number - b.number);
    this.queues[cls].clear();
    for (const pending of spans) this.queues[cls].add(pending);
  }

  /**
   * Whether it hangs or trickles, or did so recently. It then has a small budget of its own, and its
   * spans are requested elsewhere where possible.
   */
  get slow(): boolean {
    return this.#slow;
  }

  /** Notes that one of its requests gives next to nothing. */
  gaveLittle(nowMs: number): void {
    this.#slow = true;
    this.#slowUntilMs = nowMs + SLOW_MS;
  }

  /**
   * Whether it gave wrong bytes a short time ago. Fetching and hashing them takes from the others, so it is asked
   * for one span at a time, and rests after those that are wrong.
   */
  get lies(): boolean {
    return this.#lies > 0;
  }

  /** When it may be asked again, ms; in the past when it need not rest. */
  get restsUntilMs(): number {
    return this.#restsUntilMs;
  }

  /** Notes that it gave wrong bytes. */
  lied(nowMs: number): void {
    this.#lyingUntilMs = nowMs + LYING_MS;
    if (++this.#lies === 1) return; // this may have been the line
    const restMs = FIRST_REST_MS * 2 ** (this.#lies - 2);
    this.#restsUntilMs = nowMs + Math.min(restMs, LAST_REST_MS);
  }

  /** Advances the time. */
  look(nowMs: number): void {
    if (nowMs >= this.#lyingUntilMs) this.#lies = 0;
    if (nowMs >= this.#slowUntilMs) this.#slow = false;
  }

  /** Whether it can be forgotten. */
  get isIdle(): boolean {
    return !this.#slow && !this.lies && this.requests.size === 0 &&
      this.heldBytes === 0 &&
      !this.isQueued;
  }

  /** Whether anything is queued. */
  get isQueued(): boolean {
    return SPAN_CLASSES.some((cls) => this.queues[cls].size > 0);
  }

  /** Number of running requests that a reader waits for, or will. */
  get urgentRequests(): number {
    let count = 0;
    for (const request of this.requests) if (isUrgent(request)) count++;
    return count;
  }
}

/** A layer as the scheduler sees it. */
export interface ScheduledLayer {
  /** Where it may be fetched from. Requests are bounded per host and per repository. */
  readonly sources: SpanSources;
  /** The scheduler takes the steps `send`, `requeue` and `retry` in it. */
  readonly states: SpanStates;
  /** Pending spans by number. */
  readonly pending: ReadonlyMap<number, PendingSpan>;
  /** Where a span begins in the layer blob, bytes. */
  compressedStart(span: number): number;
  /** Where it ends (exclusive). */
  compressedEnd(span: number): number;
  /**
   * Fetches a request's spans from its source and passes each on once its bytes have arrived. Keeps
   * `next` and `received` up to date.
   * @throws the source's error, or the abort's reason: then spans from `next` on have not arrived.
   */
  fetch(request: RangeRequest, onBytes: (count: number) => void): Promise<void>;
  /** A span has failed and is not retried automatically. */
  lost(pending: PendingSpan, error: unknown): void;
}

/** Reason for cancelling a range request whose spans are queued again. */
export class Preempted extends Error {
  override readonly name = "Preempted";
}

/**
 * Cancelled because next to nothing arrives: its spans are requested from another source, if there is
 * one.
 */
export class Quiet extends Preempted {}
