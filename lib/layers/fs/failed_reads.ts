import { waitsBegun } from "../../host/os/mod.ts";

/** When a read has waited this long, ms, it is noted how often its thread began to wait. */
const NOTE_MS = 100;
/** A failed read is remembered until the kernel has not gone on from it for this long, ms, ... */
const REPEAT_MS = 50;
/** ... and this long, ms, in all. */
const REPEATS_MS = 1000;

/**
 * Whether the thread that made a read did nothing else but wait for it. When the kernel reads ahead,
 * the thread goes on, and may come to wait for those bytes just before they fail.
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

  /** Whether it waited all the time, but for the first tenth of a second. */
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
 * One read of a program becomes several of ours when they fail: the kernel asks again for what it
 * read ahead, page by page, here and in EROFS, and goes on behind it. The program would wait as long
 * again for each. They come at once, of the same thread, and begin where one that failed began or
 * ended or between; everything else is a read of its own, which waits as long as a read may.
 */
export class FailedReads {
  #recent: FailedRead[] = [];

  /** Whether a read that begins at `nowMs` goes on with one that has just failed. */
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
   * A read of a thread failed. It is remembered when the thread waited for it all the time, or waits
   * for the next part of what has just failed.
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
      atMs: before?.atMs ?? nowMs, // it is the same failure, and lasts no longer
      repeatedMs: nowMs,
    });
  }

  #forget(nowMs: number): void {
    this.#recent = this.#recent.filter(({ atMs, repeatedMs }) =>
      nowMs < Math.min(repeatedMs + REPEAT_MS, atMs + REPEATS_MS)
    );
  }
}
