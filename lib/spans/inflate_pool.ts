import { LIBC_PATH } from "../os/mod.ts";
import { SPAN_CLASSES, type SpanClass } from "./classes.ts";
import type {
  InflateOutcome,
  InflateRequest,
  InflateResult,
  InflateWork,
} from "./inflate_messages.ts";

/** A piece of a span that is coming is posted once it has so many bytes. */
const PIECE_BYTES = 64 * 1024;
/** Spans of one Worker that may be coming: each holds some MiB of memory. */
const STREAMS_EACH = 2;

type Finished = PromiseWithResolvers<InflateOutcome>;

interface Waiting {
  readonly work: InflateWork;
  readonly compressed: Uint8Array<ArrayBuffer>;
  readonly finished: Finished;
}

interface Member {
  worker: Worker;
  /** One span at a time: what waits here can still be overtaken, what was posted cannot. */
  current: {
    readonly id: number;
    readonly cls: SpanClass;
    readonly finished: Finished;
  } | null;
  /** Spans that are coming, or whose last byte was posted. */
  readonly streams: Map<number, Finished>;
}

/** A span that is hashed and inflated while it comes. */
export interface InflateStream {
  /** More of the span is here: all of `bytes` up to `end`. Copies what it takes. */
  reached(bytes: Uint8Array, end: number): void;
  /** All of the span is here: `bytes` up to `end`. */
  finish(bytes: Uint8Array, end: number): Promise<InflateOutcome>;
  /** The rest will not come. */
  drop(): void;
}

/** Workers that check, inflate and write spans, those that are waited for first. */
export class InflatePool implements Disposable {
  readonly #members: Member[];
  readonly #queues: Record<SpanClass, Waiting[]> = {
    demand: [],
    prefetch: [],
    background: [],
  };
  #nextId = 1;

  /** @param size number of Workers; the machine's cores, at most four, when not given. */
  constructor(size = Math.min(4, navigator.hardwareConcurrency)) {
    this.#members = Array.from({ length: size }, () => {
      const member: Member = {
        worker: this.#start(),
        current: null,
        streams: new Map(),
      };
      this.#listen(member);
      return member;
    });
  }

  #start(): Worker {
    return new Worker(new URL("./inflate_worker.ts", import.meta.url), {
      type: "module",
      deno: { permissions: { ffi: [LIBC_PATH] } },
    });
  }

  #listen(member: Member): void {
    const { streams } = member;
    const endCurrent = (outcome: InflateOutcome) => {
      member.current?.finished.resolve(outcome);
      member.current = null;
      this.#next();
    };
    member.worker.onmessage = ({ data }: MessageEvent<InflateResult>) => {
      if (data.id === member.current?.id) return endCurrent(data.outcome);
      streams.get(data.id)?.resolve(data.outcome);
      streams.delete(data.id);
    };
    member.worker.onerror = (event) => {
      event.preventDefault();
      // The Worker is gone with its spans, which are fetched again; another takes its place.
      member.worker = this.#start();
      this.#listen(member);
      const outcome: InflateOutcome = {
        kind: "worker",
        detail: `Worker: ${event.message}`,
      };
      for (const finished of streams.values()) finished.resolve(outcome);
      streams.clear();
      endCurrent(outcome);
    };
  }

  /** Number of Workers. */
  get size(): number {
    return this.#members.length;
  }

  /** Checks, inflates and writes one span; `compressed` and the work's window are given up. */
  run(
    work: InflateWork,
    compressed: Uint8Array<ArrayBuffer>,
    cls: SpanClass,
  ): Promise<InflateOutcome> {
    const finished = Promise.withResolvers<InflateOutcome>();
    this.#queues[cls].push({ work, compressed, finished });
    this.#next();
    return finished.promise;
  }

  /**
   * The same for a span of which only the beginning is here.
   * @param start where it begins in the bytes that `reached` and `finish` are given.
   * @returns null when enough are coming already: then wait for all of it and `run`.
   */
  stream(makeWork: () => InflateWork, start: number): InflateStream | null {
    const member = this.#members.reduce((least, candidate) =>
      candidate.streams.size < least.streams.size ? candidate : least
    );
    if (member.streams.size >= STREAMS_EACH) return null;
    const id = this.#nextId++;
    const finished = Promise.withResolvers<InflateOutcome>();
    member.streams.set(id, finished);
    post(member, { kind: "begin", id, work: makeWork() });
    let at = start;
    const piece = (kind: "piece" | "last", bytes: Uint8Array, end: number) => {
      const compressed = new Uint8Array(bytes.subarray(at, end));
      at = end;
      post(member, { kind, id, compressed });
    };
    return {
      reached: (bytes, end) => {
        if (end - at >= PIECE_BYTES) piece("piece", bytes, end);
      },
      finish: (bytes, end) => {
        piece("last", bytes, end);
        return finished.promise;
      },
      drop: () => {
        member.streams.delete(id);
        post(member, { kind: "drop", id });
      },
    };
  }

  #next(): void {
    for (;;) {
      const cls = SPAN_CLASSES.find((cls) => this.#queues[cls].length > 0);
      if (cls === undefined) return;
      // One Worker is kept free of background work: the next reader finds it idle.
      const background = this.#members.filter(({ current }) =>
        current?.cls === "background"
      ).length;
      if (
        cls === "background" && this.#members.length > 1 &&
        background >= this.#members.length - 1
      ) return;
      const member = this.#members.find(({ current }) => current === null);
      if (member === undefined) return;
      const { work, compressed, finished } = this.#queues[cls].shift()!;
      const id = this.#nextId++;
      member.current = { id, cls, finished };
      post(member, { kind: "whole", id, work, compressed });
    }
  }

  /** Stops the Workers; spans under way never end, so end them first. */
  [Symbol.dispose](): void {
    for (const { worker } of this.#members) worker.terminate();
  }
}

function post({ worker }: Member, request: InflateRequest): void {
  const transfer: ArrayBuffer[] = [];
  if ("compressed" in request) transfer.push(request.compressed.buffer);
  if ("work" in request && request.work.checkpoint !== null) {
    transfer.push(request.work.checkpoint.window.buffer);
  }
  worker.postMessage(request, transfer);
}
