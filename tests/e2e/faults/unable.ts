/** Preloaded into a daemon: it cannot open the state of its snapshots. @module */
const OriginalWorker = globalThis.Worker;

globalThis.Worker = class extends OriginalWorker {
  constructor(specifier: URL | string, options?: WorkerOptions) {
    super(
      String(specifier).endsWith("/cmd/command_worker.ts")
        ? new URL("./unable_worker.ts", import.meta.url)
        : specifier,
      options,
    );
  }
};
