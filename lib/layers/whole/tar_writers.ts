import { IndexerPool } from "../builder/mod.ts";
import { startTarWriter } from "./start.ts";

/**
 * Indexers that write the tar into the file that they are given (`IndexLayerOptions.data`).
 * @param size the most layers at a time.
 * @param folder of these files, without links.
 */
export function tarWriters(size: number, folder: string): IndexerPool {
  return new IndexerPool(size, {
    name: "tar writer",
    start: () => startTarWriter(folder),
  });
}
