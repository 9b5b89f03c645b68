/** Starts the Worker of the self-test. Loaded where threads are started, so it loads next to nothing. @module */
import { LIBC_PATH } from "../../host/os/mod.ts";

/** Starts the server behind the EROFS self-test: it has libc. */
export function startProbeServer(): Worker {
  return new Worker(new URL("./erofs_probe_worker.ts", import.meta.url), {
    type: "module",
    deno: { permissions: { ffi: [LIBC_PATH] } },
  });
}
