/** A span that is on its way, the range request that brings it, and whose turn that is. @module */
import { SPAN_CLASSES, type SpanClass } from "./classes.ts";
import type { Flow } from "./flow.ts";
import type { SpanSource } from "./source.ts";
import type { SpanSources } from "./sources.ts";
import type { SpanStates } from "./span_states.ts";

/** A repository that gave next to nothing is held for slow so long, ms, unless it goes on. */
const SLOW_MS = 30_000;

/** One span that somebody wants, from being asked for until it is here, or will not come. */
export class PendingSpan {
  /** Those who wait; a queued span that nobody waits for any more is dropped. */
  waiters = 1;
  /** The range request that brings it; null while it is queued or recalled. */
  request: RangeRequest | null = null;
  /** In whose queues it is, or was last; null before the scheduler has it. */
  lane: Lane | null = null;
  /** Of whom it is asked, or was last. */
  source: SpanSource | null = null;
  /** How often each source was asked for it in vain. */
  readonly tried = new Map<SpanSource, number>();
  /** How often what came was of no use. */
  refusals = 0;
  /** Whether read-ahead wants to hear of its first reader. */
  watched = false;
  readonly #done = Promise.withResolvers<void>();
  #settled = false;

  /** One waits. Its layer takes the step `want` with it. */
  constructor(
    /** Whose span it is. */
    readonly layer: ScheduledLayer,
    /** Number of the span. */
    readonly span: number,
    /** The first of those who wait. Raised when a more urgent one joins, never lowered. */
    public cls: SpanClass,
  ) {
    this.#done.promise.catch(() => {}); // each waiter has its own handle
  }

  /** Resolves when the span is here. */
  get done(): Promise<void> {
    return this.#done.promise;
  }

  /** Whether it is over: another one may be pending for the same span by now. */
  get settled(): boolean {
    return this.#settled;
  }

  /** Its compressed bytes. */
  get sizeBytes(): number {
    const { layer, span } = this;
    return layer.compressedEnd(span) - layer.compressedStart(span);
  }

  /** Tells all who wait that the span is here. */
  resolve(): void {
    this.#settled = true;
    this.#done.resolve();
  }

  /** Tells all who wait that it will not come. */
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
  /** How it comes along. */
  readonly flow: Flow;
  /** In order of their spans, without gap. */
  readonly spans: readonly PendingSpan[];
  /** The most urgent class among them when it went out. */
  readonly cls: SpanClass;
  /** Gives it up; by `Preempted` its spans are queued again. */
  readonly abort: AbortController;
  /** Index in `spans` of the next one to come. */
  next: number;
  /** Compressed bytes that have come. */
  received: number;
  /** Compressed bytes of all its spans. */
  readonly sizeBytes: number;
}

/** What has not come yet of a request. */
export function restOf({ spans, next }: RangeRequest): readonly PendingSpan[] {
  return spans.slice(next);
}

/** Whether somebody waits, or will, for what has not come yet of a request. */
export function isUrgent(request: RangeRequest): boolean {
  return request.cls !== "background" ||
    restOf(request).some(({ cls }) => cls !== "background");
}

/** What is asked of one repository of a host, and what is to be. */
export class Lane {
  /** What waits for a request, by class. */
  readonly queues: Readonly<Record<SpanClass, Set<PendingSpan>>> = {
    demand: new Set(),
    prefetch: new Set(),
    background: new Set(),
  };
  /** Range requests under way. */
  readonly requests = new Set<RangeRequest>();
  /** Bytes of spans that were asked for and are not settled, of all its requests. */
  heldBytes = 0;
  /** Those of them that count against the budget of slow repositories. */
  slowBytes = 0;
  #slowUntilMs = -Infinity;
  #slow = false;

  /** Nothing is asked of it. */
  constructor(
    /** The registry; empty for files of this machine. */
    readonly host: string,
    /** On that host. */
    readonly repository: string,
  ) {}

  /** What tells it from all others. */
  get name(): string {
    return `${this.host} ${this.repository}`;
  }

  /**
   * Whether it hangs or drips, or did a short while ago: then it has a small budget of its own, and
   * whoever can asks elsewhere.
   */
  get slow(): boolean {
    return this.#slow;
  }

  /** A request of it gives next to nothing. */
  gaveLittle(nowMs: number): void {
    this.#slow = true;
    this.#slowUntilMs = nowMs + SLOW_MS;
  }

  /** Time goes by. */
  look(nowMs: number): void {
    if (nowMs >= this.#slowUntilMs) this.#slow = false;
  }

  /** Whether anything is queued. */
  get isQueued(): boolean {
    return SPAN_CLASSES.some((cls) => this.queues[cls].size > 0);
  }

  /** Number of requests under way that somebody waits for, or will. */
  get urgentRequests(): number {
    let count = 0;
    for (const request of this.requests) if (isUrgent(request)) count++;
    return count;
  }
}

/** A layer as the scheduler sees it. */
export interface ScheduledLayer {
  /** Whom it may be fetched from. Requests are bounded for each host and each repository. */
  readonly sources: SpanSources;
  /** The scheduler takes the steps `send`, `requeue` and `retry` in it. */
  readonly states: SpanStates;
  /** What is pending, by span. */
  readonly pending: ReadonlyMap<number, PendingSpan>;
  /** Where a span begins in the layer blob, bytes. */
  compressedStart(span: number): number;
  /** Where it ends: behind its last byte. */
  compressedEnd(span: number): number;
  /**
   * Fetches a request's spans from its source and hands each on as its bytes come; `next` and `received` follow.
   * @throws the source's error, or the abort's reason: then spans from `next` on have not come.
   */
  fetch(request: RangeRequest, onBytes: (count: number) => void): Promise<void>;
  /** A span has not come, and is not asked for again by itself. */
  lost(pending: PendingSpan, error: unknown): void;
}

/** Why a range request was given up: its spans are queued again. */
export class Preempted extends Error {
  override readonly name = "Preempted";
}

/** Given up because next to nothing comes: its spans are asked of another source, if there is one. */
export class Quiet extends Preempted {}
