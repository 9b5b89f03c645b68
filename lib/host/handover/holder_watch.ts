import { ERRNO, OsError, ProcessWatch } from "../os/mod.ts";
import { logger } from "../../telemetry/mod.ts";

const log = logger("handover");
/** Delay after a failed try, ms. */
const AGAIN_MS = 1_000;

/** Watches a holder process and has it replaced when it ends. */
export class HolderWatch {
  readonly #watch: ProcessWatch | null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  private constructor(readonly pid: number, watch: ProcessWatch | null) {
    this.#watch = watch;
  }

  /**
   * @param options.replace starts another holder.
   * @param options.notBefore when it may do so, as `performance.now()` says it.
   * @returns null if the kernel cannot report the end of other processes.
   */
  static start(
    pid: number,
    options: { readonly replace: () => void; readonly notBefore: number },
  ): HolderWatch | null {
    const { replace, notBefore } = options;
    const restMs = () => Math.max(0, notBefore - performance.now());
    let process: ProcessWatch;
    try {
      process = ProcessWatch.of(pid);
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      if (error.errno === ERRNO.ESRCH) { // just now
        const ended = new HolderWatch(pid, null);
        ended.#again(replace, restMs());
        return ended;
      }
      log.warn("nobody will notice if the holder process is killed", {
        pid,
        error: error.message,
      });
      return null;
    }
    const watch = new HolderWatch(pid, process);
    process.over.then((how) => {
      if (how === "ended") watch.#again(replace, restMs());
    });
    return watch;
  }

  #again(replace: () => void, delayMs: number): void {
    log.warn("the holder process was killed, starting another", {
      pid: this.pid,
    });
    this.#timer = setTimeout(() => {
      try {
        replace();
      } catch (error) { // writing the state to a full disk may succeed later
        log.error("no other holder process can be started", {
          error: String(error),
        });
        this.#again(replace, AGAIN_MS);
      }
    }, delayMs);
    Deno.unrefTimer(this.#timer);
  }

  /** Stops watching; resolves when nothing is running any more. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#watch?.stop();
    clearTimeout(this.#timer);
  }
}
