import { type BackgroundLimits, BackgroundRate } from "./background_rate.ts";
import { isBefore, SPAN_CLASSES, type SpanClass } from "./classes.ts";
import { coalesce } from "./coalesce.ts";
import { HeldBytes } from "./held_bytes.ts";
import { Host, type HostFigures } from "./host.ts";
import {
  hasReader,
  isUrgent,
  type Lane,
  type PendingSpan,
  Preempted,
  Quiet,
  type RangeRequest,
  restOf,
  type ScheduledLayer,
} from "./pending.ts";
import { hasOther, isUntried, makeRequest, triedInVain } from "./requests.ts";
import { fairShare } from "./shares.ts";
import { NotYetHere, type SpanSource } from "./source.ts";
import { NoSourceError } from "./errors.ts";

/** Compressed bytes one range request may ask for, unless a single span is larger. */
const MAX_REQUEST_BYTES = 8 * 2 ** 20;
/** Size of a background request while the host's rate is unknown. */
const FIRST_BACKGROUND_BYTES = 2 ** 20;
/** A background request asks for as many bytes as the host delivers in this time, ms. */
const BACKGROUND_REQUEST_MS = 250;
/** Concurrent background requests: two hide each other's round trips. */
const BACKGROUND_REQUESTS = 2;
/** To a repository that hangs or trickles. */
const SLOW_REQUESTS = 4;
/** After a reader another one often follows: the background pauses this long, ms. */
const QUIET_MS = 30;
/** How often the progress of running requests is checked, ms. */
const LOOK_MS = 250;

/** How a scheduler behaves. */
export interface SchedulerOptions extends BackgroundLimits {
  /** The most compressed bytes of one host in memory, for a moment twice; of all 1.5 times as much. Default: no limit. */
  readonly maxHeldBytes?: number;
}

/**
 * Decides which spans of all layers are fetched next, and from where.
 *
 * Each span waits in the *lane* (the queue) of one repository: that of the layer's most promising source. When that
 * source fails, gives next to nothing for a second, or gave wrong bytes, the span moves to the lane of another
 * source, if there is one. It fails when all sources have failed.
 *
 * Spans are queued one by one and coalesced with their neighbours only when a request may start. So spans that were
 * wanted in the same turn of the event loop, or while all requests were busy, are fetched together. Classes are served
 * strictly in order. After the spans with waiting readers, a request also takes less urgent neighbours. Whatever nobody
 * waits for yields to a reader at once, also in the middle of a request: that is cancelled, the bytes that arrived are
 * kept, and its spans come before those that were wanted later. Prefetching fills the line and no more: its next
 * request is sent when what is under way will be here in a moment. The background runs only while a host has nothing
 * else to do, in requests of a quarter second.
 *
 * Hosts do not wait for each other, and the repositories of a host are served round-robin. Bytes in
 * memory (`HeldBytes`) and requests are shared fairly. A request that hangs or trickles for two seconds no longer
 * counts against the shares; its repository gets a small budget of its own.
 */
export class SpanScheduler {
  readonly #hosts = new Map<string, Host>();
  readonly #held: HeldBytes;
  readonly #background: BackgroundRate;
  #paused = false;
  /** Hosts to schedule after this turn of the event loop. */
  readonly #soon = new Set<Host>();
  /** And later, when the background may continue or a rest is over. */
  readonly #later = new Map<Host, ReturnType<typeof setTimeout>>();
  /** Set while there are running requests or slow lanes. */
  #looking: ReturnType<typeof setInterval> | undefined;
  /** Starts idle; see `add`. */
  constructor(options: SchedulerOptions = {}) {
    this.#background = new BackgroundRate(options);
    const maxBytes = options.maxHeldBytes ?? Infinity;
    this.#held = new HeldBytes(maxBytes, () => this.#startAllSoon());
  }

  /** Adds a queued span. */
  add(pending: PendingSpan): void {
    const lane = this.#place(pending);
    if (lane !== null) this.#wanted(lane, pending);
  }

  #wanted(lane: Lane, { cls }: PendingSpan): void {
    const host = this.#host(lane.host);
    if (cls === "demand") {
      host.wanted(lane, performance.now());
      host.yieldToReaders(slowLane(lane));
    }
    this.#startSoon(host);
  }

  /** A more urgent waiter joined a span that is queued or being fetched. */
  raise(pending: PendingSpan, cls: SpanClass): void {
    if (!isBefore(cls, pending.cls)) return;
    const { lane } = pending;
    const queued = lane?.queues[pending.cls].delete(pending) ?? false;
    pending.cls = cls;
    if (lane === null) return;
    if (queued) lane.queues[cls].add(pending);
    this.#wanted(lane, pending);
  }

  /** Removes a queued span. */
  remove(pending: PendingSpan): void {
    pending.lane?.queues[pending.cls].delete(pending);
  }

  /** A span's bytes were unusable: requests it again, elsewhere if it can be. @param source of those bytes. */
  again(pending: PendingSpan, source: SpanSource): void {
    triedInVain(pending, source);
    this.#queueAgain(pending, "retry");
  }

  /** A source gave wrong bytes: its repository is asked for one span at a time for now. */
  lied(source: SpanSource): void {
    this.#laneOf(source).lied(performance.now());
  }

  /** A source of a layer was removed: its pending spans come from another one. */
  leave(layer: ScheduledLayer, source: SpanSource): void {
    const lane = this.#laneOf(source);
    for (const request of lane.requests) {
      if (request.layer !== layer || request.source !== source) continue;
      request.abort.abort(new Preempted("its source left"));
    }
    this.#moveQueued(lane, (pending) => pending.source === source);
  }

  /** Starts no more background requests, and cancels running ones. */
  pauseBackground(): void {
    this.#paused = true;
    for (const host of this.#hosts.values()) host.cancelBackground();
  }

  /** Ends `pauseBackground`. */
  resumeBackground(): void {
    this.#paused = false;
    this.#startAllSoon();
  }

  /** The host that a layer's next span would be requested from; empty when there is none. */
  hostOf({ sources }: ScheduledLayer): string {
    return sources.pick({ isSlow: this.#isSlow })?.host ?? "";
  }

  /** How many compressed bytes one background request to a host should ask for. */
  backgroundRequestBytes(host: string): number {
    const rate = this.bytesPerMs(host);
    return Math.min(
      MAX_REQUEST_BYTES,
      rate === 0 ? FIRST_BACKGROUND_BYTES : rate * BACKGROUND_REQUEST_MS,
      this.#background.maxRequestBytes,
    );
  }

  /** Whether readers wait for spans of a host. */
  readersWait(host: string): boolean {
    return this.#hosts.get(host)?.hasReader ?? false;
  }

  /** What each host has of the budgets at this moment. */
  hosts(): HostFigures[] {
    return [...this.#hosts].map(([name, host]) =>
      host.figures(this.#held.shareOf(name))
    );
  }

  /** A host's throughput, compressed bytes per ms; 0 while unknown. */
  bytesPerMs(host: string): number {
    return this.#hosts.get(host)?.pace.bytesPerMs ?? 0;
  }

  #host(name: string): Host {
    return this.#hosts.getOrInsertComputed(name, () => new Host(name));
  }

  #laneOf({ host, repository = "" }: SpanSource): Lane {
    return this.#host(host).lane(repository);
  }

  readonly #isSlow = (source: SpanSource): boolean => this.#laneOf(source).slow;

  /** Puts a queued span into the lane of its best source, if any. */
  #place(pending: PendingSpan): Lane | null {
    const { layer: { sources }, tried } = pending;
    const source = sources.pick({ tried, isSlow: this.#isSlow });
    pending.source = source;
    pending.lane = source === null ? null : this.#laneOf(source);
    if (source === null) this.#loseSoon(pending);
    pending.lane?.queues[pending.cls].add(pending);
    return pending.lane;
  }

  /** There is no source. Reported in a later turn, when the caller has begun to wait. */
  #loseSoon(pending: PendingSpan): void {
    queueMicrotask(() => {
      if (pending.settled || pending.lane !== null) return;
      pending.layer.lost(pending, new NoSourceError());
    });
  }

  /** Moves queued spans to another lane. */
  #moveQueued(lane: Lane, which: (pending: PendingSpan) => boolean): void {
    for (const queue of Object.values(lane.queues)) {
      for (const pending of [...queue].filter(which)) {
        queue.delete(pending);
        this.add(pending);
      }
    }
  }

  #startAllSoon(): void {
    for (const host of this.#hosts.values()) this.#startSoon(host);
  }

  /** Schedules after this turn of the event loop, so that all spans wanted in it are seen together. */
  #startSoon(host: Host): void {
    if (this.#soon.has(host)) return;
    this.#soon.add(host);
    queueMicrotask(() => {
      this.#soon.delete(host);
      while (this.#startOne(host));
    });
  }

  /** Starts the most urgent request that may start, with the lanes in round-robin order. */
  #startOne(host: Host): boolean {
    for (const cls of SPAN_CLASSES) {
      for (const lane of host.lanes()) {
        const [pending] = lane.queues[cls];
        if (pending === undefined || !this.#mayStart(host, lane, cls)) continue;
        if (!this.#held.fits(pending, lane)) continue;
        host.hadTurn(lane);
        const maxBytes = this.#maxRequestBytes(lane, cls);
        const { maxAheadBytes } = host;
        this.#start(
          host,
          lane,
          coalesce(pending, { maxBytes, maxAheadBytes }),
        );
        return true;
      }
    }
    return false;
  }

  #mayStart(host: Host, lane: Lane, cls: SpanClass): boolean {
    if (lane.lies && !this.#mayAskLiar(host, lane)) return false;
    const urgent = lane.urgentRequests;
    if (cls !== "background") {
      if (lane.slow) return lane.requests.size < SLOW_REQUESTS;
      if (cls !== "demand" && !host.mayPrefetch) return false;
      if (urgent === 0) return true;
      // Prefetching leaves room for waiting readers.
      const now = performance.now();
      const requests = host.requestsBeside(this.#hosts.values(), now);
      const limit = cls === "demand" ? requests : Math.max(1, requests >> 1);
      return urgent < fairShare(limit, host.urgentBeside(lane));
    }
    if (this.#paused) return false;
    if (lane.slow) return lane.requests.size === 0;
    if (host.urgentBeside() > 0) return false;
    if (host.requestCount >= BACKGROUND_REQUESTS) return false;
    const fromMs = Math.max(
      host.busyUntilMs + QUIET_MS,
      this.#background.nextMs,
    );
    const waitMs = fromMs - performance.now();
    if (waitMs <= 0) return true;
    this.#startLater(host, waitMs);
    return false;
  }

  #mayAskLiar(host: Host, lane: Lane): boolean {
    if (lane.requests.size > 0) return false;
    const waitMs = lane.restsUntilMs - performance.now();
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

  #maxRequestBytes(lane: Lane, cls: SpanClass): number {
    if (lane.lies) return 0;
    return Math.min(
      cls === "background"
        ? this.backgroundRequestBytes(lane.host)
        : MAX_REQUEST_BYTES,
      this.#held.roomOf(lane),
    );
  }

  #start(host: Host, lane: Lane, spans: readonly PendingSpan[]): void {
    const request = makeRequest(lane, spans);
    const { cls, layer, sizeBytes } = request;
    for (const pending of spans) {
      lane.queues[pending.cls].delete(pending);
      layer.states.step(pending.span, "send");
      pending.request = request;
      this.#held.hold(pending, lane);
    }
    lane.requests.add(request);
    host.pace.begin(performance.now());
    this.#looking ??= setInterval(() => this.#look(), LOOK_MS);
    Deno.unrefTimer(this.#looking);
    if (cls === "background") {
      this.#background.sent(sizeBytes, spans.length, performance.now());
    }
    layer.fetch(request, (count) => this.#received(host, request, count)).then(
      () => this.#ended(host, request, null),
      (error) => this.#ended(host, request, error),
    );
  }

  #received(host: Host, request: RangeRequest, count: number): void {
    const now = performance.now();
    const firstMs = request.flow.received(count, now);
    if (firstMs !== null) host.pace.firstByte(request.sizeBytes, firstMs, now);
    host.pace.received(count, host.isWaiting("urgent"), now);
    if (host.isWaiting("ahead")) this.#startSoon(host);
    // A reader's span in this request has arrived by now, and nobody may wait for what follows.
    if (hasReader(request)) return;
    if (host.hasReader) host.yieldToReaders();
    else if (
      request.cls === "background" && !isUrgent(request) &&
      host.urgentBeside() > 0
    ) host.cancelBackground();
  }

  #ended(host: Host, request: RangeRequest, error: unknown): void {
    const now = performance.now();
    const { lane, layer, source } = request;
    lane.requests.delete(request);
    const { reason } = request.abort.signal;
    const preempted = error !== null && reason instanceof Preempted;
    if (preempted && request.cls === "background") {
      this.#background.cancelled(
        request.sizeBytes - request.received,
        restOf(request).length,
      );
    }
    const wasWell = error === null || preempted || error instanceof NotYetHere;
    host.pace.end(wasWell ? "done" : "failed", now);
    if (!lane.slow && request.spans.some(({ cls }) => cls !== "background")) {
      host.busyUntilMs = now;
    }
    if (!preempted) {
      layer.sources.did(source, error === null ? "gave" : "failed");
    }
    for (const pending of restOf(request)) {
      if (pending.settled) continue; // its layer is no longer served
      if (!preempted || reason instanceof Quiet) triedInVain(pending, source);
      if (preempted || hasOther(pending, source)) {
        this.#queueAgain(pending, "requeue");
      } else {
        layer.lost(
          pending,
          error ?? new Error(`span ${pending.span} has not come`),
        );
      }
    }
    if (preempted) { for (const cls of SPAN_CLASSES) lane.sort(cls); }
    this.#startSoon(host);
  }

  #queueAgain(pending: PendingSpan, step: "requeue" | "retry"): void {
    pending.layer.states.step(pending.span, step);
    pending.request = null;
    this.#held.release(pending);
    if (pending.waiters > 0) return this.add(pending);
    pending.lane = null;
    pending.layer.lost(pending, new Error("nobody waits for it any more"));
  }

  /** Checks the progress of all requests. */
  #look(): void {
    const now = performance.now();
    let idle = true;
    for (const host of this.#hosts.values()) {
      for (const lane of host.lanes()) {
        for (const request of lane.requests) this.#lookAt(request, now);
        lane.look(now);
        if (lane.slow) this.#relieve(lane);
        if (!lane.isIdle) idle = false;
      }
      host.forgetIdle();
    }
    if (!idle) return;
    clearInterval(this.#looking);
    this.#looking = undefined;
  }

  #lookAt(request: RangeRequest, now: number): void {
    const { flow, lane, layer, source } = request;
    flow.look(now);
    const [pending] = restOf(request);
    if (pending === undefined) return;
    if (flow.slow) {
      lane.gaveLittle(now);
      for (const pending of restOf(request)) this.#held.giveBack(pending);
    }
    // On the first try another source may be faster; after that, a trickle is better than nothing.
    const isFirst = !pending.tried.has(source);
    if (isFirst ? !flow.quiet : !flow.silent) return;
    const others = layer.sources.all().filter((other) => other !== source);
    if (!others.some((other) => isUntried(pending, other, source))) return;
    layer.sources.did(source, "quiet");
    request.abort.abort(new Quiet("next to nothing comes"));
  }

  /** Requeues spans of a slow repository that are beyond its budget or that another source may give. */
  #relieve(lane: Lane): void {
    const slow = [...lane.requests].filter(({ flow }) => flow.slow)
      .sort((a, b) => a.received - b.received);
    while (this.#held.isOver(lane) && slow.length > 1) {
      const request = slow.shift()!;
      for (const pending of restOf(request)) this.#held.release(pending);
      request.abort.abort(new Preempted("its repository hangs or drips"));
    }
    if (!lane.isQueued) return;
    this.#moveQueued(lane, ({ layer, tried, source }) => {
      const best = layer.sources.pick({ tried, isSlow: this.#isSlow });
      return best !== source;
    });
  }

  /** Starts nothing more. */
  [Symbol.dispose](): void {
    this.#paused = true;
    clearInterval(this.#looking);
    for (const timer of this.#later.values()) clearTimeout(timer);
  }
}

/** The lane of a reader who can be helped only there; null when all others are to yield. */
function slowLane(lane: Lane): Lane | null {
  return lane.slow ? lane : null;
}
