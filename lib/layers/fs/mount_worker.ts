import { LIBC_PATH } from "../../host/os/mod.ts";
import type { FuseWorkerEvent, FuseWorkerStart } from "./worker.ts";

/** One of the Workers that answer on a mount, and whoever takes its place when it breaks down. */
export class MountWorker {
  /** How often it had to be replaced. */
  breakdowns = 0;
  readonly loaded: PromiseWithResolvers<void> = Promise.withResolvers();
  readonly serving: PromiseWithResolvers<void> = Promise.withResolvers();
  readonly stopped: PromiseWithResolvers<void> = Promise.withResolvers();
  #worker: Worker | undefined;
  #onEvent: (event: FuseWorkerEvent) => void = () => {};

  constructor() {
    for (const { promise } of [this.loaded, this.serving]) {
      promise.catch(() => {}); // whoever waits for it sees the failure
    }
  }

  /** Starts it; it says `loaded` when it can take its message. */
  start(onEvent: (event: FuseWorkerEvent) => void): void {
    this.#onEvent = onEvent;
    this.restart();
  }

  /** Starts another one in its place. */
  restart(): void {
    const worker = new Worker(new URL("./worker.ts", import.meta.url), {
      type: "module",
      deno: { permissions: { ffi: [LIBC_PATH] } },
    });
    worker.onmessage = ({ data }: MessageEvent<FuseWorkerEvent>) =>
      this.#onEvent(data);
    worker.onerror = (event) => {
      event.preventDefault();
      this.#onEvent({
        kind: "stopped",
        error: `FUSE Worker: ${event.message}`,
      });
    };
    this.#worker = worker;
  }

  /** Its one message. */
  post(start: FuseWorkerStart): void {
    this.#worker?.postMessage(start);
  }

  /** Ends it at once. */
  terminate(): void {
    this.#worker?.terminate();
  }
}
