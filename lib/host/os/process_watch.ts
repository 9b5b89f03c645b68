import { openProcess } from "./descriptors.ts";
import { closeFd } from "./files.ts";
import { libc } from "./libc.ts";
import { ReadWatch } from "./read_watch.ts";

const WNOHANG = 1;

/**
 * Waits for another process to end, on its own thread that sleeps in the kernel. So the end is noticed
 * at once, and waiting costs nothing. The process need not be a child.
 */
export class ProcessWatch implements AsyncDisposable {
  /** `stopped`: by `stop`, before the process ended. */
  readonly over: Promise<"ended" | "stopped">;
  readonly #watch: ReadWatch;

  private constructor(pid: number, process: number) {
    this.#watch = new ReadWatch(process);
    this.over = this.#watch.over.then((how) => {
      if (how === "stopped") return how;
      libc.waitpid(pid, new Uint8Array(64), WNOHANG); // reaps a child
      return "ended" as const;
    }).finally(() => closeFd(process));
  }

  /** Watches a process from now on. @throws OsError ESRCH when it is gone; where the kernel cannot (before Linux 5.3). */
  static of(pid: number): ProcessWatch {
    return new ProcessWatch(pid, openProcess(pid));
  }

  /** Ends the waiting; resolves when its thread is free. */
  async stop(): Promise<void> {
    await this.#watch.stop();
    await this.over;
  }

  /** As `stop`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
