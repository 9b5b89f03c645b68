import { makePipe, openProcess } from "./descriptors.ts";
import { callElsewhere } from "./elsewhere.ts";
import { closeFd } from "./files.ts";
import { libc } from "./libc.ts";

const POLLIN = 1;
/** `struct pollfd`: descriptor, then events and returned events, 16 bits each. */
const POLLFD_BYTES = 8;
const FOR_EVER = -1;
const WNOHANG = 1;

/**
 * Waits for another process to end, on its own thread that sleeps in the kernel. So the end is noticed
 * at once, and waiting costs nothing. The process need not be a child.
 */
export class ProcessWatch implements AsyncDisposable {
  /** `stopped`: by `stop`, before the process ended. */
  readonly over: Promise<"ended" | "stopped">;
  readonly #stop: () => void;

  private constructor(pid: number, process: number) {
    const { readEnd, writeEnd } = makePipe();
    let stopped = false;
    this.#stop = () => {
      if (stopped) return;
      stopped = true;
      closeFd(writeEnd); // this wakes the waiting thread
    };
    this.over = this.#wait(pid, process, readEnd)
      .finally(() => {
        this.#stop();
        for (const fd of [process, readEnd]) closeFd(fd);
      });
  }

  /** Watches a process from now on. @throws OsError ESRCH when it is gone; where the kernel cannot (before Linux 5.3). */
  static of(pid: number): ProcessWatch {
    return new ProcessWatch(pid, openProcess(pid));
  }

  async #wait(
    pid: number,
    process: number,
    stop: number,
  ): Promise<"ended" | "stopped"> {
    const polled = new Uint8Array(2 * POLLFD_BYTES);
    const view = new DataView(polled.buffer);
    [process, stop].forEach((fd, i) => {
      view.setInt32(i * POLLFD_BYTES, fd, true);
      view.setInt16(i * POLLFD_BYTES + 4, POLLIN, true);
    });
    const told = (i: number) => view.getInt16(i * POLLFD_BYTES + 6, true) !== 0;
    // A signal ends the call early.
    while (!told(0) && !told(1)) {
      await callElsewhere("poll", polled, 2n, FOR_EVER);
    }
    if (told(1)) return "stopped";
    libc.waitpid(pid, new Uint8Array(64), WNOHANG); // reaps a child
    return "ended";
  }

  /** Ends the waiting; resolves when its thread is free. */
  async stop(): Promise<void> {
    this.#stop();
    await this.over;
  }

  /** As `stop`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
