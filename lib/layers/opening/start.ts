/** Starts Workers that open layers. Loaded where threads are started, so it loads next to nothing. @module */
import { LIBC_PATH, nameWithCalls } from "../../host/os/mod.ts";

/** What such a Worker is for. */
export type Role = "layers" | "chains";

/**
 * Calls of libc that a Worker has, and no others. Whoever opens a layer decodes what a registry gave: it works with
 * files of the root by the runtime, and may make itself wait for others. Directories of chains have attributes that
 * the runtime knows nothing of.
 */
const CALLS: Readonly<Record<Role, readonly string[]>> = {
  layers: ["setpriority"],
  chains: [
    ...["setpriority", "mkdir", "chmod", "lchown", "lsetxattr", "utimensat"],
    ...["statx", "readlink", "llistxattr", "lgetxattr"],
  ],
};

/** Starts a Worker that opens layers, or makes directories of chains. @param root all that it reads and writes */
export function startOpener(role: Role, root: string): Worker {
  return new Worker(new URL("./worker.ts", import.meta.url), {
    type: "module",
    name: nameWithCalls(CALLS[role]),
    deno: {
      permissions: { read: [root], write: [root], ffi: [LIBC_PATH] },
    },
  });
}
