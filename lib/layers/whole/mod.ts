/**
 * Layers that are taken whole: their bytes pass a Worker once, which hashes, inflates, indexes and writes them. A gzip
 * layer whose checkpoints somebody tells is inflated on all cores: Workers inflate its units, as they come, into the file
 * of its tar, in any order, and the indexing Worker reads that behind them, in order.
 *
 * It may write the files and run the programs that it is told to. It must not know where bytes come from, nor what
 * becomes of a file.
 * @module
 */
export {
  decompressBy,
  type Decompressor,
  DecompressorError,
  type DecompressorLimits,
  mostOutput,
} from "./program.ts";
export {
  CheckpointsError,
  inflateUnits,
  type UnitsToInflate,
} from "./inflate_units.ts";
export { type PlannedUnits, planUnits } from "./plan.ts";
export { readAt } from "./read_at.ts";
export { WRITE_BYTES } from "./write_bytes.ts";
import { IndexerPool } from "../builder/mod.ts";
import { LIBC_PATH, nameWithCalls } from "../../host/os/mod.ts";

/**
 * Indexers that write the tar into the file that they are given (`IndexLayerOptions.data`).
 * @param size the most layers at a time.
 * @param folder of these files, without links.
 */
export function tarWriters(size: number, folder: string): IndexerPool {
  return new IndexerPool(size, {
    name: "tar writer",
    start: () => start(folder),
  });
}

function start(folder: string): Worker {
  return new Worker(new URL("./worker.ts", import.meta.url), {
    type: "module",
    // Its bytes are hostile: of libc it has what looks at the disk, and lets others go first.
    name: nameWithCalls(["statfs", "setpriority"]),
    deno: {
      permissions: { read: [folder], write: [folder], ffi: [LIBC_PATH] },
    },
  });
}
