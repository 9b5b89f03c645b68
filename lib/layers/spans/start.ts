/** Starts the Workers of spans. Loaded where threads are started, so it loads next to nothing. @module */
import { LIBC_PATH, nameWithCalls } from "../../host/os/mod.ts";

/** Starts a Worker that checks, inflates and writes spans. */
export function startInflater(): Worker {
  return new Worker(new URL("./inflate_worker.ts", import.meta.url), {
    type: "module",
    // Its bytes are hostile: of libc it gets what works on files that are open.
    name: nameWithCalls(["pread", "pwrite", "fallocate"]),
    deno: { permissions: { ffi: [LIBC_PATH] } },
  });
}

/** Starts a Worker that hashes a layer. @param path of the file that it may read */
export function startHasher(path: string): Worker {
  return new Worker(new URL("./whole_worker.ts", import.meta.url), {
    type: "module",
    deno: { permissions: { read: [path] } },
  });
}
