import { LIBC_PATH, nameWithCalls } from "../../host/os/mod.ts";
import type { ComingFiles } from "../builder/mod.ts";
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
  readonly #worker: Worker;
  #answer: (outcome: FromInflater) => void = () => {};
  #fault: FromInflater | null = null;
  /** What it does; never rejects. */
  current: Promise<FromInflater> | null = null;

  constructor(folder: string, files: ComingFiles) {
    this.#worker = new Worker(new URL("./unit_worker.ts", import.meta.url), {
      type: "module",
      // Its bytes are hostile: of libc it has what lets others go first.
      name: nameWithCalls(["setpriority"]),
      deno: {
        permissions: { read: [folder], write: [folder], ffi: [LIBC_PATH] },
      },
    });
    this.#worker.onmessage = ({ data }: MessageEvent<FromInflater>) =>
      this.#answer(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#fault = { kind: "failed", detail: `Worker: ${event.message}` };
      this.#answer(this.#fault);
    };
    this.#post({ kind: "open", files });
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
    else this.#post({ kind: "units", of }, [of.compressed.buffer]);
    return promise;
  }

  #post(message: ToInflater, transfer: Transferable[] = []): void {
    this.#worker.postMessage(message, transfer);
  }

  [Symbol.dispose](): void {
    this.#worker.terminate();
  }
}
