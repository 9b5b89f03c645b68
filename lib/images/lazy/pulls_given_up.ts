/** Whoever pulled an image has left, and nobody else pulls it. */
class PullGivenUpError extends Error {
  static {
    this.prototype.name = "PullGivenUpError";
  }
}

/**
 * After the last request that was given up, its image's layers are brought for so long still: another may come that was
 * only repeated, ms.
 */
const GRACE_MS = 3_000;

/** More images than this are not remembered, but for those that are being pulled. */
const MAX_PULLS = 256;

interface Pull {
  readonly stop: AbortController;
  waiting: number;
  timer: ReturnType<typeof setTimeout> | undefined;
}

/**
 * Ends what is brought for images that nobody waits for any more. An image whose requests all ended well is not one of
 * them: more may come after a layer that containerd unpacks.
 */
export class PullsGivenUp implements Disposable {
  readonly #pulls = new Map<string, Pull>();
  readonly #graceMs: number;

  /** @param graceMs how long another request is waited for, ms. */
  constructor(graceMs: number = GRACE_MS) {
    this.#graceMs = graceMs;
  }

  /** Fires when whoever pulled that image has left. @param image names it, and who it speaks for. */
  signal(image: string): AbortSignal {
    return this.#of(image).stop.signal;
  }

  #of(image: string): Pull {
    if (this.#pulls.size >= MAX_PULLS) {
      for (const [known, { waiting, timer }] of this.#pulls) {
        if (waiting === 0 && timer === undefined) this.#pulls.delete(known);
      }
    }
    return this.#pulls.getOrInsertComputed(
      image,
      () => ({ stop: new AbortController(), waiting: 0, timer: undefined }),
    );
  }

  /** Waits for work that is done for an image, but only until the signal aborts. @throws its reason, or the work's error */
  async during<T>(
    image: string,
    signal: AbortSignal,
    work: Promise<T>,
  ): Promise<T> {
    const pull = this.#of(image);
    pull.waiting++;
    clearTimeout(pull.timer);
    pull.timer = undefined;
    const left = Promise.withResolvers<never>();
    const leave = () => left.reject(signal.reason);
    signal.addEventListener("abort", leave, { once: true });
    if (signal.aborted) leave();
    try {
      return await Promise.race([work, left.promise]);
    } finally {
      signal.removeEventListener("abort", leave);
      if (--pull.waiting === 0 && signal.aborted) this.#endSoon(image, pull);
    }
  }

  #endSoon(image: string, pull: Pull): void {
    pull.timer = setTimeout(() => {
      if (this.#pulls.get(image) === pull) this.#pulls.delete(image);
      pull.stop.abort(new PullGivenUpError("nobody pulls the image any more"));
    }, this.#graceMs);
    Deno.unrefTimer(pull.timer);
  }

  /** Ends nothing any more. */
  [Symbol.dispose](): void {
    for (const { timer } of this.#pulls.values()) clearTimeout(timer);
    this.#pulls.clear();
  }
}
