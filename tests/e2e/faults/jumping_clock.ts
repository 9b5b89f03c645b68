/** Preloaded into a daemon: the Worker that it runs in has a clock that jumps, and may read where that is said. @module */
const OriginalWorker = globalThis.Worker;

globalThis.Worker = class extends OriginalWorker {
  constructor(specifier: URL | string, options: WorkerOptions = {}) {
    const permissions = options.deno?.permissions;
    if (
      !String(specifier).endsWith("/cmd/command_worker.ts") ||
      typeof permissions !== "object"
    ) {
      super(specifier, options);
      return;
    }
    const clock = Deno.env.get("SOCI_SNAPSHOTTER_TEST_CLOCK")!;
    const read = [...permissions.read as string[], clock];
    super(new URL("./jumping_clock_worker.ts", import.meta.url), {
      ...options,
      deno: { permissions: { ...permissions, read } },
    });
  }
};
