/**
 * Building ztocs: a layer's bytes go in once, its ztoc, digest and diff ID come out. The work is
 * done in Workers without any permission, since the bytes come from outside.
 * @module
 */
export {
  IndexingError,
  type IndexLayerOptions,
  LayerIndexer,
} from "./indexer.ts";
export type { IndexedLayer, IndexingReason } from "./messages.ts";
