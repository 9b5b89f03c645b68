import { waitsBegun } from "../../host/os/mod.ts";

/** After a read has waited this long, ms, the thread's count of waits is noted. */
const NOTE_MS = 100;
/** A failed read is forgotten when the kernel has not continued from it for this long, ms, ... */
const REPEAT_MS = 50;
/** ... and after this long, ms, in any case. */
const REPEATS_MS = 1000;

/**
 * Tells whether the thread that made a read did nothing but wait for it. After a read that the
 * kernel made as read-ahead, the thread continues. It may start to wait for those bytes only
 * shortly before they fail.
 */
export class WaitingThread implements Disposable {
  #begun: number | null = null;
  readonly #timer: ReturnType<typeof setTimeout>;

  /** @param thread 0 when it is unknown. */
  constructor(readonly thread: number) {
    this.#timer = setTimeout(() => {
      this.#begun = waitsBegun(thread);
    }, NOTE_MS);
  }

  /** Whether it waited all the time, except for the first tenth of a second. */
  waitedAllTheTime(): boolean {
    return this.#begun !== null && this.#begun === waitsBegun(this.thread);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}

interface FailedRead {
  readonly thread: number;
  readonly offset: number;
  readonly atMs: number;
  end: number;
  repeatedMs: number;
}

/**
 * Reads of one layer that failed while their threads waited for them.
 *
 * When one read of a program fails, the kernel turns it into several requests: it retries the read-ahead
 * page by page, here and in EROFS, and then continues after it. The program would wait the full time for
 * each of them. Such repeats come at once, from the same thread, and begin inside a failed read or at
 * its end. Any other read is a new one, which may wait the full time.
 */
export class FailedReads {
  #recent: FailedRead[] = [];

  /** Whether a read that begins at `nowMs` continues one that has just failed. */
  repeats(
    thread: number,
    offset: number,
    length: number,
    nowMs: number,
  ): boolean {
    if (this.#recent.length === 0) return false;
    this.#forget(nowMs);
    const failed = this.#recent.find((failed) =>
      failed.thread === thread && offset >= failed.offset &&
      offset <= failed.end
    );
    if (failed === undefined) return false;
    failed.end = Math.max(failed.end, offset + length);
    failed.repeatedMs = nowMs;
    return true;
  }

  /**
   * A read of a thread failed. It is remembered if the thread waited for it all the time, or if it
   * repeats a read that has just failed.
   */
  add(
    thread: number,
    offset: number,
    length: number,
    waitedAllTheTime: boolean,
    nowMs: number,
  ): void {
    this.#forget(nowMs);
    const before = this.#recent.find((failed) => failed.thread === thread);
    if (!waitedAllTheTime && before === undefined) return;
    this.#recent.push({
      thread,
      offset,
      end: offset + length,
      atMs: before?.atMs ?? nowMs, // the same failure: its time limit is not extended
      repeatedMs: nowMs,
    });
  }

  #forget(nowMs: number): void {
    this.#recent = this.#recent.filter(({ atMs, repeatedMs }) =>
      nowMs < Math.min(repeatedMs + REPEAT_MS, atMs + REPEATS_MS)
    );
  }
}
