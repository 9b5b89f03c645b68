/** How long the background gives way at a stretch, ms. */
const LONGEST_HOLD_MS = 60_000;
/** Of so many times as long as it gives way, the background has one for itself. */
const TURNS = 6;

/** What has a background. */
export interface HasBackground {
  /** Starts nothing more in the background, and ends what is under way. */
  pauseBackground(): void;
  /** Ends `pauseBackground`. */
  resumeBackground(): void;
}

/**
 * Holds the background back while somebody waits for bytes that are no spans. Not for ever: whoever gives these bytes
 * may give them slowly, and the background is that of other images, too.
 *
 * ```text
 * held: ├── 60 s: it gives way ──┤ 10 s: its turn ├── 60 s … until nobody holds it
 * ```
 */
export class BackgroundHold implements Disposable {
  readonly #of: HasBackground;
  readonly #longestMs: number;
  #holders = 0;
  #isOver = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Holds nothing yet. @param longestMs it gives way at a stretch. Default: a minute */
  constructor(of: HasBackground, longestMs: number = LONGEST_HOLD_MS) {
    this.#of = of;
    this.#longestMs = longestMs;
  }

  /** Holds it until this is disposed of, and all others that were given meanwhile. */
  begin(): Disposable {
    if (this.#holders++ === 0) this.#giveWay();
    return {
      [Symbol.dispose]: () => {
        if (--this.#holders > 0) return;
        clearTimeout(this.#timer);
        if (!this.#isOver) this.#of.resumeBackground();
      },
    };
  }

  #giveWay(): void {
    if (this.#isOver) return;
    this.#of.pauseBackground();
    this.#after(this.#longestMs, () => {
      this.#of.resumeBackground();
      this.#after(this.#longestMs / TURNS, () => this.#giveWay());
    });
  }

  #after(ms: number, then: () => void): void {
    this.#timer = setTimeout(then, ms);
    Deno.unrefTimer(this.#timer);
  }

  /** There is no background any more. */
  [Symbol.dispose](): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
  }
}
