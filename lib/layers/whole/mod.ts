/**
 * Layers that are taken whole: their bytes pass a Worker once, which hashes, inflates, indexes and writes them.
 *
 * It may write the files that it is told to. It must not know where bytes come from, nor what becomes of a file.
 * @module
 */
import { IndexerPool } from "../builder/mod.ts";
import { LIBC_PATH } from "../../host/os/mod.ts";

/**
 * Indexers that write the tar into the file that they are given (`IndexLayerOptions.data`).
 * @param size the most layers at a time.
 */
export function tarWriters(size: number): IndexerPool {
  return new IndexerPool(size, { name: "tar writer", start });
}

function start(): Worker {
  return new Worker(new URL("./worker.ts", import.meta.url), {
    type: "module",
    // It handles hostile bytes: libc alone, to write them.
    deno: { permissions: { ffi: [LIBC_PATH] } },
  });
}
