/** What the daemon does while nobody waits: it returns memory, and runs the code of a pull. @module */
import {
  type Activity,
  giveBackGarbage,
  giveBackWhenIdle,
} from "../lib/host/memory/mod.ts";
import { warmUpAll } from "../lib/images/warmup/mod.ts";
import type { LayerStore } from "../lib/layers/serving/mod.ts";

/** What it is done with. */
export interface IdleWorkOptions {
  readonly store: LayerStore;
  readonly root: string;
  /** The daemon's socket. */
  readonly address: string;
  /** Calls that somebody waits for. */
  readonly calls: Activity;
}

/** What is done while nobody waits, from now on. */
export class IdleWork implements Disposable {
  readonly #options: IdleWorkOptions;
  readonly #returning: Disposable;
  #isOver = false;
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
    const { address, root, store } = this.#options;
    const idle = this.#activity;
    this.#warming = this.#warming.then(() =>
      warmUpAll({
        // Later a successor may listen there.
        address: isStart && store.all().length === 0 ? address : null,
        scratch: `${root}/warm-up`,
        wanted: () => !this.#isOver && this.#activity === idle,
      })
    ).then(giveBackGarbage);
  }

  /** Warms up no more. Resolves when that has ended. */
  async stopped(): Promise<void> {
    this.#isOver = true;
    await this.#warming;
  }

  /** Returns no memory any more. */
  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#returning[Symbol.dispose]();
  }
}
