import {
  openThread,
  restartPauseMs,
  type Thread,
} from "../../host/threads/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import { SPAN_CLASSES, type SpanClass } from "./classes.ts";
import type {
  FilePart,
  InflateOutcome,
  InflateRequest,
  InflateResult,
  InflateWork,
  PackedBytes,
  SumOutcome,
} from "./inflate_messages.ts";
import { FairShares } from "./shares.ts";
import { startInflater } from "./start.ts";
import { TurnQueue } from "./turn_queue.ts";

const log = logger("spans");

/** A piece of an arriving span is posted once it has this many bytes… */
const PIECE_BYTES = 64 * 1024;
/**
 * … and a large span in about so many pieces, on a line that gives one of them in less than `PIECE_MS`: posting
 * takes longer there than the bytes do. On a slower one the last piece would be long to inflate.
 */
const PIECES = 8;
const PIECE_MS = 5;
/** Workers are stopped after being idle this long, ms: each takes 11 MB and its buffers. */
const IDLE_MS = 120_000;
/** Spans that one Worker may inflate while they arrive: each holds some MiB of memory. */
const STREAMS_EACH = 2;

type Finished = PromiseWithResolvers<InflateOutcome>;

/** An outcome of whichever kind its request has. */
type Ended = PromiseWithResolvers<InflateResult["outcome"]>;

interface Waiting {
  readonly request: (id: number) => InflateRequest;
  readonly finished: Ended;
}

interface Member {
  /** Null while it is stopped because it was idle, or broke down. */
  worker: Thread<InflateRequest> | null;
  /** How often it broke down since it answered for the last time. */
  breakdowns: number;
  /** Set after a breakdown, until it may be started again. */
  pause: ReturnType<typeof setTimeout> | undefined;
  /** One span at a time: a queued span can still be overtaken, a posted one cannot. */
  current: {
    readonly id: number;
    readonly cls: SpanClass;
    readonly finished: Ended;
  } | null;
  /** Spans that are arriving, or whose last byte was posted. */
  readonly streams: Map<number, { finished: Finished; share: string }>;
}

/** Where a span lies in the bytes that come, and how fast they come. */
export interface StreamedRange {
  /** Where it begins. */
  readonly start: number;
  /** Where it ends (exclusive). */
  readonly end: number;
  /** 0: not known. */
  readonly bytesPerMs: number;
}

/** A span that is hashed and inflated while it arrives. */
export interface InflateStream {
  /** More of the span is here: all of `bytes` up to `end`. Copies what it takes. */
  reached(bytes: Uint8Array, end: number): void;
  /** All of the span is here: `bytes` up to `end`. @param packed what came ahead of it by now. */
  finish(
    bytes: Uint8Array,
    end: number,
    packed: PackedBytes | null,
  ): Promise<InflateOutcome>;
  /** The rest will not come. */
  drop(): void;
}

/** How a pool is set up. */
export interface InflatePoolOptions {
  /** Number of Workers. Default: the machine's cores, at most four. */
  readonly size?: number;
  /** How long idle Workers stay, ms. Default: two minutes. */
  readonly idleMs?: number;
}

/**
 * Workers that check, inflate and write spans; spans with waiting readers go first. The first one starts with the
 * first span, or by `wake` while that span is still in flight or before; each other one when those that run are
 * busy: on a slow line, or while a start pack brings all, one is enough. `rest` leaves one of them. All stop after
 * a long idle time. One that broke down is started again for the next span, after a pause that grows while it answers
 * nothing: then what waits for it waits so long, and whoever waits for that may give up.
 */
export class InflatePool implements Disposable {
  readonly #members: Member[];
  readonly #queues: Readonly<Record<SpanClass, TurnQueue<Waiting>>> = {
    demand: new TurnQueue(),
    expected: new TurnQueue(),
    prefetch: new TurnQueue(),
    background: new TurnQueue(),
  };
  /** Number of streams by the share they count against. */
  readonly #streams: FairShares<string>;
  #nextId = 1;

  readonly #idleMs: number;
  #usedMs = 0;
  /** Set while Workers are up. */
  #idle: ReturnType<typeof setTimeout> | undefined;

  /** Starts no Worker yet. */
  constructor(options: InflatePoolOptions = {}) {
    const { size = Math.min(4, navigator.hardwareConcurrency) } = options;
    this.#idleMs = options.idleMs ?? IDLE_MS;
    this.#streams = new FairShares(Math.max(1, size * STREAMS_EACH - 1));
    this.#members = Array.from(
      { length: size },
      () => ({
        ...{ worker: null, breakdowns: 0, pause: undefined },
        ...{ current: null, streams: new Map() },
      }),
    );
  }

  /** Starts a Worker if there is none, so that it is ready when the next span has arrived. */
  wake(): void {
    this.#usedMs = performance.now();
    if (this.#idle !== undefined) return;
    const first = this.#members[0]!;
    if (canWork(first)) this.#start(first);
    this.#stopAfter(this.#idleMs);
  }

  #stopAfter(ms: number): void {
    this.#idle = setTimeout(() => {
      const leftMs = this.#members.some(isBusy)
        ? this.#idleMs
        : this.#usedMs + this.#idleMs - performance.now();
      if (leftMs > 0) return this.#stopAfter(leftMs);
      this.#idle = undefined;
      for (const member of this.#members) {
        member.worker?.[Symbol.dispose]();
        member.worker = null;
      }
    }, ms);
    Deno.unrefTimer(this.#idle);
  }

  /** Nothing is expected for a while: one Worker stays for the next reader, the memory of the others is returned. */
  rest(): void {
    const running = this.#members.filter(({ worker }) => worker !== null);
    const idle = running.filter((member) => !isBusy(member));
    for (const member of idle.slice(idle.length === running.length ? 1 : 0)) {
      member.worker![Symbol.dispose]();
      member.worker = null;
    }
  }

  #start(member: Member): void {
    const endCurrent = (outcome: InflateResult["outcome"]) => {
      member.current?.finished.resolve(outcome);
      member.current = null;
      this.#next();
    };
    const message = (data: InflateResult) => {
      member.breakdowns = 0;
      if (data.id === member.current?.id) return endCurrent(data.outcome);
      const stream = this.#endStream(member, data.id);
      stream?.resolve(data.outcome as InflateOutcome);
    };
    const broken = (why: string) => {
      if (member.worker !== worker) return; // it was stopped
      worker[Symbol.dispose]();
      member.worker = null;
      this.#pause(member, why);
      // The Worker died with its spans. They are fetched again.
      const outcome: InflateOutcome = {
        kind: "worker",
        detail: `Worker: ${why}`,
      };
      for (const id of [...member.streams.keys()]) {
        this.#endStream(member, id)?.resolve(outcome);
      }
      endCurrent(outcome);
    };
    const worker = openThread<InflateRequest, InflateResult>(
      { name: "inflater", start: startInflater },
      { message, broken },
    );
    member.worker = worker;
  }

  /** What breaks down at once each time would keep a core busy, and say so without end. */
  #pause(member: Member, detail: string): void {
    const pauseMs = restartPauseMs(member.breakdowns++);
    const { breakdowns } = member;
    log.error("a Worker that inflates broke down, the next one is started", {
      ...{ detail, breakdowns, inMs: pauseMs },
    });
    member.pause = setTimeout(() => {
      member.pause = undefined;
      this.#next();
    }, pauseMs);
  }

  /** Number of Workers if all are running. */
  get capacity(): number {
    return this.#members.length;
  }

  /** Number of running Workers. */
  get size(): number {
    return this.#members.filter(({ worker }) => worker !== null).length;
  }

  /**
   * Checks, inflates and writes one span; `compressed` and the work's window are transferred.
   * @param share whose span it is: within a class, shares are served round-robin.
   */
  run(
    work: InflateWork,
    compressed: Uint8Array<ArrayBuffer>,
    cls: SpanClass,
    share = "",
  ): Promise<InflateOutcome> {
    const request = (id: number): InflateRequest => (
      { kind: "whole", id, work, compressed }
    );
    return this.#queue(request, cls, share) as Promise<InflateOutcome>;
  }

  /**
   * Checksum of a span that an earlier process wrote. A reader waits.
   * @param share whose span it is.
   */
  sum(part: FilePart, share: string): Promise<SumOutcome> {
    const request = (id: number): InflateRequest => ({ kind: "sum", id, part });
    return this.#queue(request, "demand", share) as Promise<SumOutcome>;
  }

  #queue(
    request: Waiting["request"],
    cls: SpanClass,
    share: string,
  ): Ended["promise"] {
    this.wake();
    const finished: Ended = Promise.withResolvers();
    this.#queues[cls].push(share, { request, finished });
    this.#next();
    return finished.promise;
  }

  /**
   * Like `run`, for a span of which only the beginning has arrived.
   * @param range where it lies in the bytes that `reached` and `finish` are given.
   * @param share whose span it is: no share can take all places for streams.
   * @returns null when all places are taken: then wait for the whole span and call `run`.
   */
  stream(
    makeWork: () => InflateWork,
    { start, end: total, bytesPerMs }: StreamedRange,
    share = "",
  ): InflateStream | null {
    this.wake();
    if (this.#streams.roomOf(share) < 1) return null;
    // One that is stopped comes after those without a stream, and before those with one.
    const rank = (member: Member) =>
      !canWork(member)
        ? Infinity
        : member.streams.size + (member.worker === null ? 0.5 : 0);
    const member = this.#members.reduce((least, candidate) =>
      rank(candidate) < rank(least) ? candidate : least
    );
    if (rank(member) >= STREAMS_EACH) return null;
    if (member.worker === null) this.#start(member);
    const id = this.#nextId++;
    const finished = Promise.withResolvers<InflateOutcome>();
    member.streams.set(id, { finished, share });
    this.#streams.take(share, 1);
    post(member, { kind: "begin", id, work: makeWork() });
    let at = start;
    const pieceBytes = Math.max(
      PIECE_BYTES,
      Math.min((total - start) / PIECES, (bytesPerMs || Infinity) * PIECE_MS),
    );
    const piece = (bytes: Uint8Array, end: number) => {
      const compressed = new Uint8Array(bytes.subarray(at, end));
      at = end;
      return compressed;
    };
    return {
      reached: (bytes, end) => {
        if (end - at < pieceBytes) return;
        post(member, { kind: "piece", id, compressed: piece(bytes, end) });
      },
      finish: (bytes, end, packed) => {
        const compressed = piece(bytes, end);
        post(member, { kind: "last", id, compressed, packed });
        return finished.promise;
      },
      drop: () => {
        this.#endStream(member, id);
        post(member, { kind: "drop", id });
      },
    };
  }

  #endStream({ streams }: Member, id: number): Finished | undefined {
    const stream = streams.get(id);
    if (stream === undefined) return undefined;
    streams.delete(id);
    this.#streams.give(stream.share, 1);
    return stream.finished;
  }

  #next(): void {
    for (;;) {
      const cls = SPAN_CLASSES.find((cls) => this.#queues[cls].size > 0);
      if (cls === undefined) return;
      // One Worker never does background work, so the next reader finds it idle.
      const background = this.#members.filter(({ current }) =>
        current?.cls === "background"
      ).length;
      if (
        cls === "background" && this.#members.length > 1 &&
        background >= this.#members.length - 1
      ) return;
      const free = this.#members.filter(isFree);
      const member = free.find(({ worker }) => worker !== null) ?? free[0];
      if (member === undefined) return;
      if (member.worker === null) this.#start(member);
      const { request, finished } = this.#queues[cls].next()!;
      const id = this.#nextId++;
      member.current = { id, cls, finished };
      post(member, request(id));
      if (cls === "background") this.#startSpare();
    }
  }

  /** One that runs is to be free for the next reader. */
  #startSpare(): void {
    const free = this.#members.filter(isFree);
    if (free.some(({ worker }) => worker !== null)) return;
    const [stopped] = free;
    if (stopped !== undefined) this.#start(stopped);
  }

  /** Stops the Workers. Promises of spans in progress never settle, so end those spans first. */
  [Symbol.dispose](): void {
    clearTimeout(this.#idle);
    for (const member of this.#members) {
      clearTimeout(member.pause);
      const { worker } = member;
      member.worker = null;
      worker?.[Symbol.dispose]();
    }
  }
}

/** Whether it is up, or may be started. */
function canWork({ worker, pause }: Member): boolean {
  return worker !== null || pause === undefined;
}

function isFree(member: Member): boolean {
  return member.current === null && canWork(member);
}

function isBusy({ current, streams }: Member): boolean {
  return current !== null || streams.size > 0;
}

function post({ worker }: Member, request: InflateRequest): void {
  const transfer: ArrayBuffer[] = [];
  if ("compressed" in request) transfer.push(request.compressed.buffer);
  if ("work" in request && request.work.packing.kind === "gzip") {
    transfer.push(request.work.packing.window.buffer);
  }
  // It was started before, and a busy Worker is not stopped. Of one that broke down the streams have ended.
  worker?.post(request, transfer);
}
