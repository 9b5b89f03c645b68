import { isBefore, type SpanClass } from "./classes.ts";
import { coalesce } from "./coalesce.ts";
import { HeldBytes } from "./held_bytes.ts";
import { Host } from "./host.ts";
import {
  isUrgent,
  type PendingSpan,
  Preempted,
  type RangeRequest,
  restOf,
} from "./pending.ts";

/** Compressed bytes one range request may ask for, unless a single span is larger. */
const MAX_REQUEST_BYTES = 8 * 2 ** 20;
/** While a host's rate is unknown. */
const FIRST_BACKGROUND_BYTES = 2 ** 20;
/** A background request is as large as the host gives in this time, ms. */
const BACKGROUND_REQUEST_MS = 250;
/** Background requests side by side: two hide each other's round trips. */
const BACKGROUND_REQUESTS = 2;
/** After a reader was served another one often follows: the line is left free for so long, ms. */
const QUIET_MS = 30;

/** How a scheduler behaves. */
export interface SchedulerOptions {
  /** The most the background may fetch, compressed bytes a second; no bound when not given. */
  readonly backgroundBytesPerSecond?: number;
  /**
   * The most compressed bytes that are on their way or wait to be inflated, of all hosts together: they
   * are in memory, each for a moment twice. No bound when not given.
   */
  readonly maxHeldBytes?: number;
}

/**
 * Decides which spans of all layers are fetched next, host by host.
 *
 * Spans are queued one by one and coalesced with their neighbours only when a request may start, so
 * what was asked for in the same turn, or while all requests were busy, goes out together. Classes
 * are served strictly in order; behind the spans that are waited for, a request takes along
 * neighbours that will be, as that delays nobody. The background runs only while a host has nothing
 * else to do, in pieces of a quarter second, and gives way at once: its request is given up, what came
 * is kept.
 */
export class SpanScheduler {
  readonly #hosts = new Map<string, Host>();
  readonly #held: HeldBytes;
  readonly #backgroundBytesPerMs: number;
  /** When the bound on background bytes allows the next request. */
  #nextBackgroundMs = 0;
  #paused = false;
  /** Hosts that are looked at when this turn of the event loop is over. */
  readonly #soon = new Set<Host>();
  /** Hosts that are looked at later, when the background may go on. */
  readonly #later = new Map<Host, ReturnType<typeof setTimeout>>();

  /** Nothing is asked for before a span is added. */
  constructor(options: SchedulerOptions = {}) {
    this.#backgroundBytesPerMs =
      (options.backgroundBytesPerSecond || Infinity) / 1000;
    this.#held = new HeldBytes(
      options.maxHeldBytes ?? Infinity,
      () => this.#startAllSoon(),
    );
  }

  /** Takes a queued span in. */
  add(pending: PendingSpan): void {
    const host = this.#host(pending.layer.host);
    host.queues[pending.cls].add(pending);
    this.#added(host, pending);
  }

  /** A more urgent waiter joined a span that is queued or under way. */
  raise(pending: PendingSpan, cls: SpanClass): void {
    if (!isBefore(cls, pending.cls)) return;
    const host = this.#host(pending.layer.host);
    const queued = host.queues[pending.cls].delete(pending);
    pending.cls = cls;
    if (queued) host.queues[cls].add(pending);
    this.#added(host, pending);
  }

  /** Takes a queued span back. */
  remove(pending: PendingSpan): void {
    this.#host(pending.layer.host).queues[pending.cls].delete(pending);
  }

  /** Starts no more background requests, and gives up those that run. */
  pauseBackground(): void {
    this.#paused = true;
    for (const host of this.#hosts.values()) host.yieldTo(null);
  }

  /** Ends `pauseBackground`. */
  resumeBackground(): void {
    this.#paused = false;
    this.#startAllSoon();
  }

  /** How many compressed bytes of background one request to a host should ask for. */
  backgroundRequestBytes(host: string): number {
    const rate = this.bytesPerMs(host);
    return Math.min(
      MAX_REQUEST_BYTES,
      rate === 0 ? FIRST_BACKGROUND_BYTES : rate * BACKGROUND_REQUEST_MS,
      this.#backgroundBytesPerMs * BACKGROUND_REQUEST_MS,
    );
  }

  /** What a host gives, compressed bytes a ms; 0 while that is not known. */
  bytesPerMs(host: string): number {
    return this.#hosts.get(host)?.pace.bytesPerMs ?? 0;
  }

  #host(name: string): Host {
    return this.#hosts.getOrInsertComputed(name, () => new Host());
  }

  #added(host: Host, pending: PendingSpan): void {
    if (pending.cls === "demand") host.yieldTo(pending);
    this.#startSoon(host);
  }

  #startAllSoon(): void {
    for (const host of this.#hosts.values()) this.#startSoon(host);
  }

  /** Requests of one turn of the event loop are looked at together. */
  #startSoon(host: Host): void {
    if (this.#soon.has(host)) return;
    this.#soon.add(host);
    queueMicrotask(() => {
      this.#soon.delete(host);
      this.#startWhatMay(host);
    });
  }

  #startWhatMay(host: Host): void {
    for (;;) {
      const cls = host.nextClass;
      if (cls === undefined || !this.#mayStart(host, cls)) return;
      const [pending] = host.queues[cls];
      if (!this.#held.fits(pending!)) return;
      this.#start(host, coalesce(pending!, this.#maxRequestBytes(pending!)));
    }
  }

  #mayStart(host: Host, cls: SpanClass): boolean {
    const urgent = host.urgentRequests;
    if (cls !== "background") {
      // Readers to come leave room for readers that are here.
      const limit = host.pace.requests;
      return urgent < (cls === "demand" ? limit : Math.max(1, limit >> 1));
    }
    if (this.#paused || urgent > 0) return false;
    if (host.requests.size >= BACKGROUND_REQUESTS) return false;
    const fromMs = Math.max(
      host.busyUntilMs + QUIET_MS,
      this.#nextBackgroundMs,
    );
    const waitMs = fromMs - performance.now();
    if (waitMs <= 0) return true;
    this.#startLater(host, waitMs);
    return false;
  }

  #startLater(host: Host, waitMs: number): void {
    if (this.#later.has(host)) return;
    const timer = setTimeout(() => {
      this.#later.delete(host);
      this.#startSoon(host);
    }, waitMs);
    this.#later.set(host, timer);
  }

  #maxRequestBytes({ cls, layer }: PendingSpan): number {
    return Math.min(
      cls === "background"
        ? this.backgroundRequestBytes(layer.host)
        : MAX_REQUEST_BYTES,
      this.#held.roomBytes,
    );
  }

  #start(host: Host, spans: readonly PendingSpan[]): void {
    const request = makeRequest(spans);
    const { cls, layer, sizeBytes } = request;
    for (const pending of spans) {
      host.queues[pending.cls].delete(pending);
      layer.states.step(pending.span, "send");
      pending.request = request;
      this.#held.hold(pending);
    }
    host.requests.add(request);
    host.pace.begin(performance.now());
    if (cls === "background") {
      this.#nextBackgroundMs =
        Math.max(this.#nextBackgroundMs, performance.now()) +
        sizeBytes / this.#backgroundBytesPerMs;
    }
    layer.fetch(request, (count) => this.#received(host, request, count)).then(
      () => this.#ended(host, request, null),
      (error) => this.#ended(host, request, error),
    );
  }

  #received(host: Host, request: RangeRequest, count: number): void {
    const { demand, prefetch } = host.queues;
    host.pace.received(
      count,
      demand.size + prefetch.size > 0,
      performance.now(),
    );
    if (request.cls !== "background" || isUrgent(request)) return;
    // A reader had joined this request, and that is why it was not given up; now its span has come.
    if (demand.size > 0 || host.urgentRequests > 0) host.yieldTo(null);
  }

  #ended(host: Host, request: RangeRequest, error: unknown): void {
    const now = performance.now();
    host.requests.delete(request);
    const preempted = error !== null &&
      request.abort.signal.reason instanceof Preempted;
    if (preempted && request.cls === "background") {
      this.#nextBackgroundMs -= (request.sizeBytes - request.received) /
        this.#backgroundBytesPerMs;
    }
    host.pace.end(error === null || preempted ? "done" : "failed", now);
    if (request.spans.some(({ cls }) => cls !== "background")) {
      host.busyUntilMs = now;
    }
    for (const pending of restOf(request)) {
      if (pending.settled) continue; // its layer is no longer served
      if (preempted) this.#queueAgain(host, pending);
      else {
        request.layer.lost(
          pending,
          error ?? new Error(`span ${pending.span} has not come`),
        );
      }
    }
    this.#startSoon(host);
  }

  #queueAgain(host: Host, pending: PendingSpan): void {
    pending.layer.states.step(pending.span, "preempt");
    pending.request = null;
    this.#held.release(pending);
    host.queues[pending.cls].add(pending);
  }

  /** Starts nothing more. */
  [Symbol.dispose](): void {
    this.#paused = true;
    for (const timer of this.#later.values()) clearTimeout(timer);
  }
}

function makeRequest(spans: readonly PendingSpan[]): RangeRequest {
  const first = spans[0]!;
  const { layer } = first;
  return {
    layer,
    spans,
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
