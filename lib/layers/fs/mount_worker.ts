import { LIBC_PATH } from "../../host/os/mod.ts";
import { Life, type Steps } from "./life.ts";
import type { FuseWorkerEvent, FuseWorkerStart } from "./worker.ts";

/** How long to wait before a Worker that broke down is replaced, ms: at first, at most. */
const FIRST_REVIVAL_MS = 50;
const LAST_REVIVAL_MS = 5_000;

/** Where a Worker is in its life. */
export type WorkerState =
  /** Its code is being loaded. */
  | "loading"
  /** It can take its message. */
  | "loaded"
  /** It answers the kernel. */
  | "serving"
  /** It broke down; another one will take its place. */
  | "broken"
  /** It answers no more, and none takes its place. */
  | "ended";

/** What happens to a Worker. */
export type WorkerStep = "load" | "serve" | "break" | "replace" | "end";

/**
 * The life of a Worker, and of whoever takes its place.
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
 * What a Worker says once it is broken or has ended comes late, and changes nothing.
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

/** What a Worker's owner does about it. */
export interface MountWorkerOwner {
  /** It took the place of one that broke down, and can take its message. */
  onReplaced(worker: MountWorker): void;
  /** It told something of the requests it answers. */
  onTold(event: FuseWorkerEvent): void;
  /** It broke down: whether another one shall take its place. */
  onBroken(why: string): "replace" | "end";
  /** The one that broke down is gone: it copies nothing any more. */
  onGone(worker: MountWorker): void;
  /** It answers no more, and none takes its place. */
  onEnded(failure: Error): void;
}

/** One of the Workers that answer on a mount, and whoever takes its place when it breaks down. */
export class MountWorker {
  readonly #owner: MountWorkerOwner;
  readonly #life = new Life("a FUSE Worker", WORKER_STEPS, "loading");
  readonly #loaded = Promise.withResolvers<void>();
  readonly #serving = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<void>();
  #worker: Worker;
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
      promise.catch(() => {}); // whoever waits for it sees the failure
    }
    this.#worker = this.#start();
  }

  /** Resolves when it can take its message for the first time; rejects when it ends before. */
  get loaded(): Promise<void> {
    return this.#loaded.promise;
  }

  /** Resolves when it answers for the first time; rejects when it ends before. */
  get serving(): Promise<void> {
    return this.#serving.promise;
  }

  /** Resolves when it answers no more, and none takes its place. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** Its one message. */
  post(start: FuseWorkerStart): void {
    this.#worker.postMessage(start);
  }

  /** None takes its place any more. */
  letEnd(): void {
    clearTimeout(this.#replacing);
    if (this.#life.state === "broken") this.#end("it broke down");
  }

  /** Ends it at once. */
  terminate(): void {
    clearTimeout(this.#replacing);
    this.#end("it was told to end");
    this.#worker.terminate();
  }

  #start(): Worker {
    const worker = new Worker(new URL("./worker.ts", import.meta.url), {
      type: "module",
      deno: { permissions: { ffi: [LIBC_PATH] } },
    });
    const tell = (event: FuseWorkerEvent) => {
      if (worker === this.#worker) this.#onEvent(event); // else it was replaced
    };
    worker.onmessage = ({ data }: MessageEvent<FuseWorkerEvent>) => tell(data);
    worker.onerror = (event) => {
      event.preventDefault();
      tell({ kind: "stopped", error: `FUSE Worker: ${event.message}` });
    };
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
        return this.#owner.onTold(event);
      case "stopped":
        return event.error === null
          ? this.#end("the file system was unmounted")
          : this.#break(event.error);
    }
  }

  #break(why: string): void {
    const before = this.#life.take("break");
    if (before === "broken" || before === "ended") return;
    if (this.#owner.onBroken(why) === "end") return this.#end(why);
    const waitMs = FIRST_REVIVAL_MS * 2 ** Math.min(this.#breakdowns++, 20);
    this.#replacing = setTimeout(
      () => this.#replace(),
      Math.min(waitMs, LAST_REVIVAL_MS),
    );
  }

  #replace(): void {
    this.#worker.terminate();
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
