import {
  openThread,
  restartPauseMs,
  type Thread,
} from "../../host/threads/mod.ts";
import { Life, type Steps } from "./life.ts";
import { startFuseServer } from "./start.ts";
import type { FuseWorkerEvent, FuseWorkerStart } from "./worker.ts";

/** The states of a Worker. */
export type WorkerState =
  /** Its code is being loaded. */
  | "loading"
  /** It is ready for its start message. */
  | "loaded"
  /** It answers the kernel. */
  | "serving"
  /** It crashed and will be replaced. */
  | "broken"
  /** It answers no more and is not replaced. */
  | "ended";

/** What happens to a Worker. */
export type WorkerStep = "load" | "serve" | "break" | "replace" | "end";

/**
 * The life of a Worker and its replacements.
 *
 * ```text
 *         load            serve
 * loading ────► loaded ──────────► serving
 *  ▲ │             │                  │
 *  │ └────break────┴──────break───────┤
 *  │                                  ▼
 *  └────────────replace──────────── broken      every state ──end──► ended
 * ```
 *
 * Messages of a Worker that is broken or has ended are too late, and are ignored.
 */
export const WORKER_STEPS: Steps<WorkerState, WorkerStep> = {
  loading: { load: "loaded", break: "broken", end: "ended" },
  loaded: { serve: "serving", break: "broken", end: "ended" },
  serving: { break: "broken", end: "ended" },
  broken: {
    load: "broken",
    serve: "broken",
    break: "broken",
    replace: "loading",
    end: "ended",
  },
  ended: { load: "ended", serve: "ended", break: "ended", end: "ended" },
};

/** How a Worker's owner reacts. */
export interface MountWorkerOwner {
  /** The replacement of a crashed Worker is ready for its start message. */
  onReplaced(worker: MountWorker): void;
  /** It reported an event about its requests. */
  onTold(event: FuseWorkerEvent): void;
  /** It crashed. @returns whether to replace it. */
  onBroken(why: string): "replace" | "end";
  /** The crashed Worker is gone: it copies nothing any more. */
  onGone(worker: MountWorker): void;
  /** It answers no more and is not replaced. */
  onEnded(failure: Error): void;
}

/** One of the Workers that answer on a mount, and its replacement after a crash. */
export class MountWorker {
  readonly #owner: MountWorkerOwner;
  readonly #life = new Life("a FUSE Worker", WORKER_STEPS, "loading");
  readonly #loaded = Promise.withResolvers<void>();
  readonly #serving = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<void>();
  #worker: Thread<FuseWorkerStart>;
  #usesDescriptor = false;
  /** How often it had to be replaced. */
  #breakdowns = 0;
  #replacing: ReturnType<typeof setTimeout> | undefined;

  /**
   * Starts it.
   * @param number its number among all Workers of the file system.
   */
  constructor(readonly number: number, owner: MountWorkerOwner) {
    this.#owner = owner;
    for (const { promise } of [this.#loaded, this.#serving]) {
      promise.catch(() => {}); // the callers that wait for it get the error
    }
    this.#worker = this.#start();
  }

  /** Resolves when it is ready for its start message the first time; rejects when it ends before. */
  get loaded(): Promise<void> {
    return this.#loaded.promise;
  }

  /** Resolves when it answers for the first time; rejects when it ends before. */
  get serving(): Promise<void> {
    return this.#serving.promise;
  }

  /** Resolves when it answers no more and is not replaced. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /**
   * Whether it reads from and writes to the descriptor of its mount, or may do so: it was told to serve, and has not
   * said that it is over. To end it says nothing of that, see `Thread`.
   */
  get usesDescriptor(): boolean {
    return this.#usesDescriptor;
  }

  /** Sends its start message, the only one it gets. */
  post(start: FuseWorkerStart): void {
    this.#usesDescriptor = true;
    this.#worker.post(start);
  }

  /** From now on it is not replaced. */
  letEnd(): void {
    clearTimeout(this.#replacing);
    if (this.#life.state === "broken") this.#end("it broke down");
  }

  /** Ends it. It may use the descriptor all the same. @returns resolves when it was told */
  terminate(): Promise<void> {
    clearTimeout(this.#replacing);
    this.#end("it was told to end");
    return this.#worker.stop();
  }

  #start(): Thread<FuseWorkerStart> {
    const tell = (event: FuseWorkerEvent) => {
      if (worker === this.#worker) this.#onEvent(event); // else it was replaced
    };
    const worker = openThread<FuseWorkerStart, FuseWorkerEvent>(
      { name: "FUSE server", start: startFuseServer },
      {
        message: tell,
        broken: (why) =>
          tell({ kind: "stopped", error: `FUSE Worker: ${why}` }),
      },
    );
    return worker;
  }

  #onEvent(event: FuseWorkerEvent): void {
    switch (event.kind) {
      case "loaded":
        if (this.#life.take("load") !== "loading") return;
        if (this.#breakdowns > 0) return this.#owner.onReplaced(this);
        return this.#loaded.resolve();
      case "serving":
        if (this.#life.take("serve") !== "loaded") return;
        return this.#serving.resolve();
      case "negotiated":
      case "fault":
      case "request":
        return this.#owner.onTold(event);
      case "stopped":
        this.#usesDescriptor = false;
        return event.error === null
          ? this.#end("the file system was unmounted")
          : this.#break(event.error);
    }
  }

  #break(why: string): void {
    const before = this.#life.take("break");
    if (before === "broken" || before === "ended") return;
    if (this.#owner.onBroken(why) === "end") return this.#end(why);
    this.#replacing = setTimeout(
      () => this.#replace(),
      restartPauseMs(this.#breakdowns++),
    );
  }

  #replace(): void {
    this.#worker[Symbol.dispose]();
    this.#owner.onGone(this);
    this.#life.take("replace");
    this.#worker = this.#start();
  }

  #end(why: string): void {
    if (this.#life.take("end") === "ended") return;
    const failure = new Error(why);
    this.#loaded.reject(failure);
    this.#serving.reject(failure);
    this.#ended.resolve();
    this.#owner.onEnded(failure);
  }
}
