import { LIBC_PATH } from "../os/mod.ts";
import type {
  InflateOutcome,
  InflateResult,
  InflateTask,
} from "./inflate_messages.ts";
import { SPAN_CLASSES, type SpanClass } from "./classes.ts";

type Work = Omit<InflateTask, "id">;

interface Waiting {
  readonly work: Work;
  readonly finished: PromiseWithResolvers<InflateOutcome>;
}

interface Member {
  worker: Worker;
  /** One task at a time: what waits here can still be overtaken, what was posted cannot. */
  current: (Waiting & { readonly id: number; readonly cls: SpanClass }) | null;
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
      const member: Member = { worker: this.#start(), current: null };
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
    const finish = (outcome: InflateOutcome) => {
      member.current?.finished.resolve(outcome);
      member.current = null;
      this.#next();
    };
    member.worker.onmessage = ({ data }: MessageEvent<InflateResult>) => {
      if (data.id === member.current?.id) finish(data.outcome);
    };
    member.worker.onerror = (event) => {
      event.preventDefault();
      // The Worker is gone: its span fails (and is asked for again), another takes its place.
      member.worker = this.#start();
      this.#listen(member);
      finish({ kind: "inflate", detail: `Worker: ${event.message}` });
    };
  }

  /** Tasks that wait for a Worker. */
  get backlog(): number {
    return SPAN_CLASSES.reduce((sum, cls) => sum + this.#queues[cls].length, 0);
  }

  /** Number of Workers. */
  get size(): number {
    return this.#members.length;
  }

  /** Runs one task; `compressed` is given up. */
  run(work: Work, cls: SpanClass): Promise<InflateOutcome> {
    const finished = Promise.withResolvers<InflateOutcome>();
    this.#queues[cls].push({ work, finished });
    this.#next();
    return finished.promise;
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
      const next = this.#queues[cls].shift()!;
      const id = this.#nextId++;
      member.current = { ...next, id, cls };
      member.worker.postMessage(
        { ...next.work, id } satisfies InflateTask,
        next.work.checkpoint === null
          ? [next.work.compressed.buffer]
          : [next.work.compressed.buffer, next.work.checkpoint.window.buffer],
      );
    }
  }

  /** Stops the Workers; tasks under way never end, so end them first. */
  [Symbol.dispose](): void {
    for (const { worker } of this.#members) worker.terminate();
  }
}
