import { openThread, type Thread } from "../../host/threads/mod.ts";
import type { ComingFiles } from "../builder/mod.ts";
import { startUnitInflater } from "./start.ts";
import type { FromInflater, ToInflater, UnitsWork } from "./unit_messages.ts";

/** Workers that inflate units of one layer, those of one request each at a time. Disposing of them stops them. */
export class UnitWorkers implements Disposable {
  readonly #all: readonly UnitWorker[];

  /** Starts them. */
  constructor({ workers, folder, files }: {
    readonly workers: number;
    readonly folder: string;
    readonly files: ComingFiles;
  }) {
    this.#all = Array.from(
      { length: workers },
      () => new UnitWorker(folder, files),
    );
  }

  /** One that has nothing to do, as soon as there is one. */
  async free(): Promise<UnitWorker> {
    for (;;) {
      const free = this.#all.find(({ current }) => current === null);
      if (free !== undefined) return free;
      await Promise.race(this.#all.map(({ current }) => current));
    }
  }

  /** Resolves when none of them has anything to do. */
  async idle(): Promise<void> {
    await Promise.all(this.#all.map(({ current }) => current));
  }

  [Symbol.dispose](): void {
    for (const worker of this.#all) worker[Symbol.dispose]();
  }
}

/** One of them. */
class UnitWorker implements Disposable {
  readonly #worker: Thread<ToInflater>;
  #answer: (outcome: FromInflater) => void = () => {};
  #fault: FromInflater | null = null;
  /** What it does; never rejects. */
  current: Promise<FromInflater> | null = null;

  constructor(folder: string, files: ComingFiles) {
    this.#worker = openThread<ToInflater, FromInflater>(
      { name: "unit inflater", start: () => startUnitInflater(folder) },
      {
        message: (outcome) => this.#answer(outcome),
        broken: (why) => {
          this.#fault = { kind: "failed", detail: `Worker: ${why}` };
          this.#answer(this.#fault);
        },
      },
    );
    this.#worker.post({ kind: "open", files });
  }

  /** Inflates units, when it has nothing else to do. Their bytes are transferred. */
  inflate(of: UnitsWork): Promise<FromInflater> {
    const { promise, resolve } = Promise.withResolvers<FromInflater>();
    this.#answer = (outcome) => {
      this.current = null;
      resolve(outcome);
    };
    this.current = promise;
    if (this.#fault !== null) this.#answer(this.#fault);
    else this.#worker.post({ kind: "units", of }, [of.compressed.buffer]);
    return promise;
  }

  [Symbol.dispose](): void {
    this.#worker[Symbol.dispose]();
  }
}
