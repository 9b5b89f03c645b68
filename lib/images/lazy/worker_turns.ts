/** Layers up to this size cost nothing, and go first. */
const SMALL_BYTES = 2 ** 20;
/** Layers of an image come one by one, within so many ms: nobody is chosen before the others are here. */
const GATHER_MS = 5;

/** So often layers that hang are looked for while others wait, ms. */
const LOOK_MS = 1_000;

/** A layer that waits for a Worker. */
export interface WaitingLayer {
  /** Whose it is. */
  readonly image: string;
  /** Of the blob. */
  readonly sizeBytes: number;
  /** Whether it has a Worker, and nothing comes of it. Default: it never is so. */
  readonly hangs?: () => boolean;
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

interface Waiting {
  readonly layer: WaitingLayer;
  readonly enter: () => void;
}

/**
 * Which layer gets a Worker next: one of the image that has the fewest, of that the first by `byTurn`. A layer that hangs
 * needs no core, so another image has a Worker beside it.
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
  readonly #running = new Set<WaitingLayer>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param workers in all, but for those of layers that hang. @param perImage of them, these as well. */
  constructor(workers: number, perImage: number) {
    this.#workers = workers;
    this.#perImage = perImage;
  }

  /** Runs what needs a Worker when it is the layer's turn. Returns or throws what it does. */
  async run<T>(layer: WaitingLayer, work: () => Promise<T>): Promise<T> {
    await new Promise<void>((enter) => {
      this.#waiting.push({ layer, enter });
      setTimeout(() => this.#grant(), GATHER_MS);
    });
    try {
      return await work();
    } finally {
      this.#running.delete(layer);
      this.#grant();
    }
  }

  #grant(): void {
    clearTimeout(this.#timer);
    for (;;) {
      const next = this.#next();
      if (next === null) break;
      this.#waiting = this.#waiting.filter((one) => one !== next);
      this.#running.add(next.layer);
      next.enter();
    }
    if (this.#waiting.length === 0) return;
    this.#timer = setTimeout(() => this.#grant(), LOOK_MS);
    Deno.unrefTimer(this.#timer);
  }

  #next(): Waiting | null {
    const busy = new Map<string, number>();
    const hanging = new Set<string>();
    let all = 0;
    for (const { image, hangs } of this.#running) {
      busy.set(image, (busy.get(image) ?? 0) + 1);
      if (hangs?.() ?? false) hanging.add(image);
      else all++;
    }
    if (all >= this.#workers) return null;
    const of = ({ layer: { image } }: Waiting) => busy.get(image) ?? 0;
    let best: Waiting | null = null;
    for (const one of this.#waiting) {
      const { image } = one.layer;
      // What hangs is not to have one Worker after the other.
      if (of(one) >= this.#perImage || hanging.has(image)) continue;
      if (best === null) best = one;
      else if (image === best.layer.image) {
        if (byTurn(one.layer, best.layer) < 0) best = one;
      } else if (of(one) < of(best)) best = one;
    }
    return best;
  }
}
