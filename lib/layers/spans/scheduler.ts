import { isBefore, SPAN_CLASSES, type SpanClass } from "./classes.ts";
import { HostPace } from "./pace.ts";
import { type Flight, Preempted, type Run, type RunLayer } from "./run.ts";

/** Compressed bytes one range request may ask for, unless a single span is larger. */
const MAX_RUN_BYTES = 8 * 2 ** 20;
/** While a host's rate is unknown. */
const FIRST_BACKGROUND_BYTES = 2 ** 20;
/** A background request is as large as the host gives in this time, ms. */
const BACKGROUND_RUN_MS = 250;
/** Background requests side by side: two hide each other's round trips. */
const BACKGROUND_REQUESTS = 2;
/** After a reader was served another one often follows: the line is left free for so long, ms. */
const QUIET_MS = 30;
/** A background request that is over so soon, ms, is not worth a new connection. */
const NEARLY_DONE_MS = 4;
/** A reader waits so long, ms, for a background request to come to its span, else asks anew. */
const NEARLY_THERE_MS = 15;

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

interface Host {
  readonly pace: HostPace;
  readonly queues: Record<SpanClass, Set<Flight>>;
  readonly runs: Set<Run>;
  /** When something other than background last ran. */
  busyUntilMs: number;
  timer: ReturnType<typeof setTimeout> | undefined;
  pumping: boolean;
}

/**
 * Decides which spans of all layers are fetched next, host by host.
 *
 * Spans are queued one by one and joined to runs of neighbours only when a request may start, so
 * what was asked for in the same turn, or while all requests were busy, goes out together. Classes
 * are served strictly in order; behind the spans that are waited for, a run takes along neighbours
 * that will be, as that delays nobody. The background runs only while a host has nothing else to do,
 * in pieces of a quarter second, and gives way at once: its request is given up, what came is kept.
 */
export class SpanScheduler {
  readonly #hosts = new Map<string, Host>();
  readonly #backgroundBytesPerMs: number;
  readonly #maxHeldBytes: number;
  /** Spans that are on their way or being inflated, and their compressed bytes. */
  readonly #held = new Set<Flight>();
  #heldBytes = 0;
  /** When the bound on background bytes allows the next request. */
  #nextBackgroundMs = 0;
  #paused = false;

  constructor(options: SchedulerOptions = {}) {
    this.#backgroundBytesPerMs =
      (options.backgroundBytesPerSecond || Infinity) / 1000;
    this.#maxHeldBytes = options.maxHeldBytes ?? Infinity;
  }

  /** Queues a flight. */
  add(flight: Flight): void {
    const host = this.#host(flight.layer);
    flight.layer.queued.set(flight.span, flight);
    host.queues[flight.cls].add(flight);
    this.#arrived(host, flight);
  }

  /** A more urgent waiter joined a flight. */
  raise(flight: Flight, cls: SpanClass): void {
    if (!isBefore(cls, flight.cls)) return;
    const host = this.#host(flight.layer);
    if (flight.run === null) host.queues[flight.cls].delete(flight);
    flight.cls = cls;
    if (flight.run === null) host.queues[cls].add(flight);
    this.#arrived(host, flight);
  }

  /** Takes a queued flight back; false when it is under way already. */
  remove(flight: Flight): boolean {
    if (flight.run !== null || !flight.layer.queued.delete(flight.span)) {
      return false;
    }
    this.#host(flight.layer).queues[flight.cls].delete(flight);
    return true;
  }

  /** Starts no more background requests, and gives up those that run. */
  pauseBackground(): void {
    this.#paused = true;
    for (const host of this.#hosts.values()) this.#yield(host, null);
  }

  /** Ends `pauseBackground`. */
  resumeBackground(): void {
    this.#paused = false;
    for (const host of this.#hosts.values()) this.#pumpSoon(host);
  }

  /** How many compressed bytes of background one request of that layer should ask for. */
  backgroundRunBytes({ host }: { host: string }): number {
    const rate = this.#hosts.get(host)?.pace.bytesPerMs ?? 0;
    return Math.min(
      MAX_RUN_BYTES,
      rate === 0 ? FIRST_BACKGROUND_BYTES : rate * BACKGROUND_RUN_MS,
      this.#backgroundBytesPerMs * BACKGROUND_RUN_MS,
    );
  }

  /** What a host gives, compressed bytes a ms; 0 while that is not known. */
  bytesPerMs(host: string): number {
    return this.#hosts.get(host)?.pace.bytesPerMs ?? 0;
  }

  #host({ host: name }: RunLayer): Host {
    let host = this.#hosts.get(name);
    if (host === undefined) {
      host = {
        pace: new HostPace(),
        queues: {
          demand: new Set(),
          prefetch: new Set(),
          background: new Set(),
        },
        runs: new Set(),
        busyUntilMs: -Infinity,
        timer: undefined,
        pumping: false,
      };
      this.#hosts.set(name, host);
    }
    return host;
  }

  #arrived(host: Host, flight: Flight): void {
    if (flight.cls === "demand") this.#yield(host, flight);
    this.#pumpSoon(host);
  }

  /** Gives up background requests that a reader would wait behind. */
  #yield(host: Host, reader: Flight | null): void {
    for (const run of host.runs) {
      if (run.cls !== "background") continue;
      const { pace } = host;
      if (
        reader !== null &&
        pace.transferMs(run.size - run.received) < NEARLY_DONE_MS
      ) continue;
      if (reader?.run === run) {
        // It is on its way; so are spans before it, which is fine when they are few.
        const { layer } = run;
        const first = run.flights[0]!.span;
        const before = layer.compressedStart(reader.span) -
          layer.compressedStart(first) - run.received;
        if (reader.received || pace.transferMs(before) < NEARLY_THERE_MS) {
          continue;
        }
      } else if (rest(run).some(({ cls }) => cls === "demand")) {
        continue; // somebody waits for a part of it: see #received
      }
      run.abort.abort(new Preempted("a reader waits"));
    }
  }

  /** Requests of one turn of the event loop are looked at together. */
  #pumpSoon(host: Host): void {
    if (host.pumping) return;
    host.pumping = true;
    queueMicrotask(() => {
      host.pumping = false;
      this.#pump(host);
    });
  }

  #pump(host: Host): void {
    for (;;) {
      const cls = SPAN_CLASSES.find((cls) => host.queues[cls].size > 0);
      if (cls === undefined || !this.#mayStart(host, cls)) return;
      const [flight] = host.queues[cls];
      // One goes whatever its size.
      const held = this.#heldBytes + sizeOf(flight!);
      if (held > this.#maxHeldBytes && this.#heldBytes > 0) return;
      this.#start(host, this.#gather(host, flight!));
    }
  }

  #mayStart(host: Host, cls: SpanClass): boolean {
    const urgent = [...host.runs].filter(isUrgent);
    if (cls !== "background") {
      // Readers to come leave room for readers that are here.
      const limit = host.pace.requests;
      return urgent.length <
        (cls === "demand" ? limit : Math.max(1, limit >> 1));
    }
    if (this.#paused || urgent.length > 0) return false;
    if (host.runs.size >= BACKGROUND_REQUESTS) return false;
    const now = performance.now();
    const wait = Math.max(host.busyUntilMs + QUIET_MS, this.#nextBackgroundMs) -
      now;
    if (wait <= 0) return true;
    host.timer ??= setTimeout(() => {
      host.timer = undefined;
      this.#pumpSoon(host);
    }, wait);
    return false;
  }

  /** The run around a queued flight: neighbours as urgent as it, then behind them less urgent ones. */
  #gather(host: Host, seed: Flight): Flight[] {
    const { layer } = seed;
    const limit = Math.min(
      seed.cls === "background"
        ? this.backgroundRunBytes(layer)
        : MAX_RUN_BYTES,
      this.#maxHeldBytes - this.#heldBytes,
    );
    const flights = [seed];
    let start = layer.compressedStart(seed.span);
    let end = layer.compressedEnd(seed.span);
    const take = (span: number, urgent: boolean): boolean => {
      const flight = layer.queued.get(span);
      if (flight === undefined || flight.cls === "background" && urgent) {
        return false;
      }
      const from = Math.min(start, layer.compressedStart(span));
      const to = Math.max(end, layer.compressedEnd(span));
      if (to - from > limit) return false;
      start = from;
      end = to;
      if (span < seed.span) flights.unshift(flight);
      else flights.push(flight);
      return true;
    };
    const urgent = seed.cls !== "background";
    for (let span = seed.span + 1; take(span, urgent); span++);
    // What is asked for before the seed delays it: only what is as urgent goes there.
    for (
      let span = seed.span - 1;
      layer.queued.get(span)?.cls === seed.cls && take(span, urgent);
      span--
    );
    for (const flight of flights) {
      layer.queued.delete(flight.span);
      host.queues[flight.cls].delete(flight);
    }
    return flights;
  }

  #start(host: Host, flights: Flight[]): void {
    const { layer } = flights[0]!;
    const cls = flights.reduce<SpanClass>(
      (first, flight) => isBefore(flight.cls, first) ? flight.cls : first,
      "background",
    );
    const run: Run = {
      layer,
      flights,
      cls,
      abort: new AbortController(),
      next: 0,
      received: 0,
      size: layer.compressedEnd(flights.at(-1)!.span) -
        layer.compressedStart(flights[0]!.span),
    };
    for (const flight of flights) {
      flight.run = run;
      this.#hold(flight);
    }
    host.runs.add(run);
    host.pace.begin(performance.now());
    if (cls === "background") {
      this.#nextBackgroundMs =
        Math.max(this.#nextBackgroundMs, performance.now()) +
        run.size / this.#backgroundBytesPerMs;
    }
    layer.fetchRun(run, (count) => this.#received(host, run, count)).then(
      () => this.#ended(host, run, null),
      (error) => this.#ended(host, run, error),
    );
  }

  /** Counts a flight's bytes until it is over, or queued again. */
  #hold(flight: Flight): void {
    this.#held.add(flight);
    this.#heldBytes += sizeOf(flight);
    const letGo = () => this.#letGo(flight);
    flight.done.then(letGo, letGo);
  }

  #letGo(flight: Flight): void {
    if (!this.#held.delete(flight)) return;
    this.#heldBytes -= sizeOf(flight);
    for (const host of this.#hosts.values()) this.#pumpSoon(host);
  }

  #received(host: Host, run: Run, count: number): void {
    const { demand, prefetch } = host.queues;
    host.pace.received(
      count,
      demand.size + prefetch.size > 0,
      performance.now(),
    );
    if (run.cls !== "background" || isUrgent(run)) return;
    // A reader had joined this run, and that is why it was not given up; now its span has come.
    const readers = demand.size > 0 || [...host.runs].some(isUrgent);
    if (readers) this.#yield(host, null);
  }

  #ended(host: Host, run: Run, error: unknown): void {
    const now = performance.now();
    host.runs.delete(run);
    const preempted = error !== null &&
      run.abort.signal.reason instanceof Preempted;
    if (preempted && run.cls === "background") {
      this.#nextBackgroundMs -= (run.size - run.received) /
        this.#backgroundBytesPerMs;
    }
    host.pace.end(error === null || preempted ? "done" : "failed", now);
    if (run.flights.some(({ cls }) => cls !== "background")) {
      host.busyUntilMs = now;
    }
    for (const flight of rest(run)) {
      if (preempted) {
        this.#letGo(flight);
        flight.run = null;
        run.layer.queued.set(flight.span, flight);
        host.queues[flight.cls].add(flight);
      } else {
        flight.reject(
          error ?? new Error(`span ${flight.span} has not come`),
        );
      }
    }
    this.#pumpSoon(host);
  }

  /** Starts nothing more. */
  [Symbol.dispose](): void {
    this.#paused = true;
    for (const { timer } of this.#hosts.values()) clearTimeout(timer);
  }
}

/** Its compressed bytes. */
function sizeOf({ layer, span }: Flight): number {
  return layer.compressedEnd(span) - layer.compressedStart(span);
}

/** What has not come yet. */
function rest(run: Run): readonly Flight[] {
  return run.flights.slice(run.next);
}

function isUrgent(run: Run): boolean {
  return run.cls !== "background" ||
    rest(run).some(({ cls }) => cls !== "background");
}
