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
export { startTarWriter, startUnitInflater } from "./start.ts";
export { tarWriters } from "./tar_writers.ts";
