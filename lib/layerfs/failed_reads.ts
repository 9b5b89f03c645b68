/** A read that waited this long, ms, before it failed is remembered ... */
const LONG_WAIT_MS = 1000;
/** ... until the kernel has not repeated it or gone on from it for this long, ms, ... */
const REPEAT_MS = 50;
/** ... and this long, ms, in all. */
const REPEATS_MS = 1000;

interface FailedRead {
  readonly thread: number;
  readonly offset: number;
  readonly atMs: number;
  end: number;
  repeatedMs: number;
}

/**
 * Reads of one layer that failed after a long wait.
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

  /** A read failed. @param thread 0 when it is unknown: nothing can repeat it. */
  add(
    thread: number,
    offset: number,
    length: number,
    startedMs: number,
    nowMs: number,
  ): void {
    this.#forget(nowMs);
    if (thread === 0 || nowMs - startedMs < LONG_WAIT_MS) return;
    const end = offset + length;
    this.#recent.push({ thread, offset, end, atMs: nowMs, repeatedMs: nowMs });
  }

  #forget(nowMs: number): void {
    this.#recent = this.#recent.filter(({ atMs, repeatedMs }) =>
      nowMs < Math.min(repeatedMs + REPEAT_MS, atMs + REPEATS_MS)
    );
  }
}
