/** Starts Workers that take layers whole. Loaded where threads are started, so it loads next to nothing. @module */
import { LIBC_PATH, nameWithCalls } from "../../host/os/mod.ts";

/** Starts an indexer that writes the tar. @param folder all that it reads and writes */
export function startTarWriter(folder: string): Worker {
  return new Worker(new URL("./worker.ts", import.meta.url), {
    type: "module",
    // Its bytes are hostile: of libc it has what looks at the disk, and lets others go first.
    name: nameWithCalls(["statfs", "setpriority"]),
    deno: {
      permissions: { read: [folder], write: [folder], ffi: [LIBC_PATH] },
    },
  });
}

/** Starts a Worker that inflates units of a layer. @param folder all that it reads and writes */
export function startUnitInflater(folder: string): Worker {
  return new Worker(new URL("./unit_worker.ts", import.meta.url), {
    type: "module",
    // Its bytes are hostile: of libc it has what lets others go first.
    name: nameWithCalls(["setpriority"]),
    deno: {
      permissions: { read: [folder], write: [folder], ffi: [LIBC_PATH] },
    },
  });
}
