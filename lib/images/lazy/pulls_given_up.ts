/** Whoever pulled an image has left, and nobody else pulls it. */
class PullGivenUpError extends Error {
  static {
    this.prototype.name = "PullGivenUpError";
  }
}

/** For how long an image's layers are brought after its last request, by how that ended, ms. */
export interface PullPatience {
  /** It was given up: another may come that was only repeated. Default: 3 seconds. */
  readonly givenUp: number;
  /** Its layer is shown: the next one is asked for at once, unless whoever pulls was killed. Default: a minute. */
  readonly shown: number;
  /** Its layer is left to containerd, which unpacks it before it asks for the next one. Default: 10 minutes. */
  readonly unpacked: number;
}

const PATIENCE: PullPatience = {
  givenUp: 3_000,
  shown: 60_000,
  unpacked: 10 * 60_000,
};

/** More images than this are not remembered, but for those that are being pulled. */
const MAX_PULLS = 256;

interface Pull {
  readonly stop: AbortController;
  waiting: number;
  timer: ReturnType<typeof setTimeout> | undefined;
}

/**
 * Ends what is brought for images that nobody waits for any more: soon after a request was given up, and some time
 * after one that ended by itself, as whoever pulls may be killed between two requests.
 */
export class PullsGivenUp implements Disposable {
  readonly #pulls = new Map<string, Pull>();
  readonly #patience: PullPatience;

  /** @param patience how long another request is waited for. */
  constructor(patience: PullPatience = PATIENCE) {
    this.#patience = patience;
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
    const { givenUp, shown, unpacked } = this.#patience;
    let patienceMs = unpacked;
    try {
      const done = await Promise.race([work, left.promise]);
      patienceMs = shown;
      return done;
    } finally {
      signal.removeEventListener("abort", leave);
      if (signal.aborted) patienceMs = givenUp;
      if (--pull.waiting === 0) this.#endAfter(patienceMs, image, pull);
    }
  }

  #endAfter(patienceMs: number, image: string, pull: Pull): void {
    pull.timer = setTimeout(() => {
      if (this.#pulls.get(image) === pull) this.#pulls.delete(image);
      pull.stop.abort(new PullGivenUpError("nobody pulls the image any more"));
    }, patienceMs);
    Deno.unrefTimer(pull.timer);
  }

  /** Ends nothing any more. */
  [Symbol.dispose](): void {
    for (const { timer } of this.#pulls.values()) clearTimeout(timer);
    this.#pulls.clear();
  }
}
