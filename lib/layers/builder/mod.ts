/**
 * Building ztocs: a layer's bytes go in once, its ztoc, digest and diff ID come out. The work is done in
 * Workers without any permission, because the bytes are untrusted.
 * @module
 */
export {
  IndexingError,
  type IndexLayerOptions,
  LayerIndexer,
  startIndexer,
} from "./indexer.ts";
export { IndexerPool, largestFirst } from "./pool.ts";
export { type IndexerParts, serveIndexer } from "./serve.ts";
export { type TarSink, TarSinkError } from "./tar_sink.ts";
export { decompressZstd } from "./zstd_stream.ts";
export {
  ZSTD_TAIL_BYTES,
  type ZstdFacts,
  zstdFacts,
  zstdReason,
} from "./zstd.ts";
export {
  type ComingFiles,
  type ComingLayer,
  comingLayer,
  type Units,
  UnitsReader,
  UnitsWriter,
} from "./units.ts";
export type { IndexedLayer, IndexingReason, ToIndexer } from "./messages.ts";
