/**
 * Loaded before the daemon by a test: on SIGUSR2 its Workers break down for real. Inflate Workers get
 * a message they cannot bear; FUSE Workers read a request from the kernel and throw instead of
 * answering it, after a name that begins with `break-down` was looked up.
 * @module
 */
const OriginalWorker = globalThis.Worker;
const inflaters = new Set<Worker>();

globalThis.Worker = class extends OriginalWorker {
  constructor(specifier: URL | string, options?: WorkerOptions) {
    const url = String(specifier);
    super(
      url.endsWith("/lib/layers/fs/worker.ts")
        ? new URL("./dying_fuse_worker.ts", import.meta.url)
        : specifier,
      options,
    );
    if (url.endsWith("/inflate_worker.ts")) {
      inflaters.add(this);
      this.addEventListener("error", () => inflaters.delete(this));
    }
  }
};

Deno.addSignalListener("SIGUSR2", () => {
  for (const worker of inflaters) worker.postMessage(null);
});
