/** Starts FUSE Workers. Loaded where threads are started, so it loads next to nothing. @module */
import { LIBC_PATH } from "../../host/os/mod.ts";

/** Starts a Worker that answers the kernel: it has libc. */
export function startFuseServer(): Worker {
  return new Worker(new URL("./worker.ts", import.meta.url), {
    type: "module",
    deno: { permissions: { ffi: [LIBC_PATH] } },
  });
}
