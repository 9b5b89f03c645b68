/** What ends a command from outside. @module */

/** Fires on Ctrl-C and SIGTERM, as long as it is not disposed of; then these end the process again. */
export class StopSignal implements Disposable {
  readonly #stop = new AbortController();
  readonly #listeners = (["SIGINT", "SIGTERM"] as const).map((name) => {
    const listener = () => this.end(new Error(`interrupted by ${name}`));
    Deno.addSignalListener(name, listener);
    return { name, listener };
  });

  /** For what the command waits for. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** Fires it. @param reason what the user is told. */
  end(reason: Error): void {
    this.#stop.abort(reason);
  }

  [Symbol.dispose](): void {
    for (const { name, listener } of this.#listeners) {
      Deno.removeSignalListener(name, listener);
    }
  }
}
