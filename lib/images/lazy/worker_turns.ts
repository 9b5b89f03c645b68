/** Layers up to this size cost nothing, and go first. */
const SMALL_BYTES = 2 ** 20;
/** Layers of an image come one by one, within so many ms: nobody is chosen before the others are here. */
const GATHER_MS = 5;

/** A layer that waits for a Worker. */
export interface WaitingLayer {
  /** Whose it is. */
  readonly image: string;
  /** Of the blob. */
  readonly sizeBytes: number;
}

/**
 * The order in which layers of an image get a Worker: small ones, then the largest. A large one that came last would
 * run alone, while the other cores have nothing left to do.
 */
export function byTurn(
  a: Pick<WaitingLayer, "sizeBytes">,
  b: Pick<WaitingLayer, "sizeBytes">,
): number {
  const isSmall = Number(b.sizeBytes <= SMALL_BYTES) -
    Number(a.sizeBytes <= SMALL_BYTES);
  return isSmall || b.sizeBytes - a.sizeBytes;
}

interface Waiting extends WaitingLayer {
  readonly enter: () => void;
}

/**
 * Which layer gets a Worker next: one of the image that has the fewest, of that the first by `byTurn`.
 *
 * @example
 * ```ts
 * import { WorkerTurns } from "./worker_turns.ts";
 * const turns = new WorkerTurns(1, Infinity);
 * const order: number[] = [];
 * await Promise.all([2e6, 9e6, 10].map((sizeBytes) =>
 *   turns.run({ image: "a", sizeBytes }, () => Promise.resolve(order.push(sizeBytes)))
 * ));
 * if (order.join() !== "10,9000000,2000000") throw new Error(order.join());
 * ```
 */
export class WorkerTurns {
  readonly #workers: number;
  readonly #perImage: number;
  /** In order of arrival. */
  #waiting: Waiting[] = [];
  readonly #running = new Map<string, number>();
  #all = 0;

  /** @param workers in all. @param perImage of them. */
  constructor(workers: number, perImage: number) {
    this.#workers = workers;
    this.#perImage = perImage;
  }

  /** Runs what needs a Worker when it is the layer's turn. Returns or throws what it does. */
  async run<T>(layer: WaitingLayer, work: () => Promise<T>): Promise<T> {
    const { image, sizeBytes } = layer;
    await new Promise<void>((enter) => {
      this.#waiting.push({ image, sizeBytes, enter });
      setTimeout(() => this.#grant(), GATHER_MS);
    });
    try {
      return await work();
    } finally {
      this.#all--;
      const left = this.#of(image) - 1;
      if (left > 0) this.#running.set(image, left);
      else this.#running.delete(image);
      this.#grant();
    }
  }

  #of(image: string): number {
    return this.#running.get(image) ?? 0;
  }

  #grant(): void {
    while (this.#all < this.#workers) {
      const next = this.#next();
      if (next === null) return;
      this.#waiting = this.#waiting.filter((one) => one !== next);
      this.#all++;
      this.#running.set(next.image, this.#of(next.image) + 1);
      next.enter();
    }
  }

  #next(): Waiting | null {
    let best: Waiting | null = null;
    for (const one of this.#waiting) {
      if (this.#of(one.image) >= this.#perImage) continue;
      if (best === null) best = one;
      else if (one.image === best.image) {
        if (byTurn(one, best) < 0) best = one;
      } else if (this.#of(one.image) < this.#of(best.image)) best = one;
    }
    return best;
  }
}
