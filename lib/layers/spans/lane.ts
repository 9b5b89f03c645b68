import { SPAN_CLASSES, type SpanClass } from "./classes.ts";
import { isUrgent, type PendingSpan, type RangeRequest } from "./pending.ts";

/** A repository that gave next to nothing is held for slow so long, ms, unless it goes on. */
const SLOW_MS = 30_000;

/** What is asked of one repository of a host, and what is to be. */
export class Lane {
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
