/** What the daemon does while nobody waits: it returns memory, and runs the code of a pull. @module */
import {
  type Activity,
  giveBackGarbage,
  giveBackWhenIdle,
} from "../lib/host/memory/mod.ts";
import {
  warmUpAll,
  type WholeWarmUpOptions,
} from "../lib/images/warmup/mod.ts";
import type { LayerStore } from "../lib/layers/serving/mod.ts";

/**
 * Where memory is returned often, made-up layers are taken whole no more often than this, ms: their Workers stay, with
 * what is compiled of theirs.
 */
const WHOLE_AGAIN_MS = 60_000;

/** What it is done with. */
export interface IdleWorkOptions {
  readonly store: LayerStore;
  readonly root: string;
  /** The daemon's socket. */
  readonly address: string;
  /** Calls that somebody waits for. */
  readonly calls: Activity;
  /** How layers are taken whole; null where no image is. */
  readonly whole: WholeWarmUpOptions | null;
}

/** What is done while nobody waits, from now on. */
export class IdleWork implements Disposable {
  readonly #options: IdleWorkOptions;
  readonly #over = new AbortController();
  readonly #returning: Disposable;
  /** When layers were last taken whole for nobody. */
  #wholeMs = -Infinity;
  #warming: Promise<void> = Promise.resolve();

  /** Begins at once. */
  constructor(options: IdleWorkOptions) {
    const { store } = this.#options = options;
    this.#returning = giveBackWhenIdle(
      () => this.#activity,
      () => store.shrink(),
      (isStart) => this.#warmUp(isStart),
    );
  }

  /** Grows with work; NaN while somebody waits. */
  get #activity(): number {
    const { store, calls } = this.#options;
    return calls.count + store.fetched.requests + store.all().length;
  }

  #warmUp(isStart: boolean): void {
    const { address, root, calls, store, whole } = this.#options;
    const idle = this.#activity;
    const signal = AbortSignal.any([calls.untilNext, this.#over.signal]);
    const isDue = performance.now() - this.#wholeMs >= WHOLE_AGAIN_MS;
    if (isDue) this.#wholeMs = performance.now();
    this.#warming = this.#warming.then(() =>
      warmUpAll({
        // Later a successor may listen there.
        address: isStart && store.all().length === 0 ? address : null,
        ...{ signal, whole: isDue ? whole : null },
        scratch: `${root}/warm-up`,
        wanted: () => !signal.aborted && this.#activity === idle,
      })
    ).then(giveBackGarbage);
  }

  /** Warms up no more. Resolves when that has ended. */
  async stopped(): Promise<void> {
    this.#over.abort();
    await this.#warming;
  }

  /** Returns no memory any more. */
  [Symbol.dispose](): void {
    this.#over.abort();
    this.#returning[Symbol.dispose]();
  }
}
