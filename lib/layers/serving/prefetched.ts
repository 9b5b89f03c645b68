import {
  type InOrderOptions,
  type InOrderOutcome,
  type PrefetchedLayer,
  prefetchInOrder,
  SpanState,
} from "../spans/mod.ts";
import type { Machinery } from "./machinery.ts";
import type { OpenLayer } from "./open_layer.ts";

/** A part of an open layer's tar. */
export interface LayerRange {
  /** Whose bytes. */
  readonly layer: OpenLayer;
  /** Where they begin in the uncompressed tar. */
  readonly offset: number;
  /** How many they are. */
  readonly length: number;
}

/** What is fetched before anybody reads it. */
export class AheadOfReaders {
  readonly #machinery: Machinery;

  /** Fetches nothing by itself. @param machinery of the store whose layers are fetched. */
  constructor(machinery: Machinery) {
    this.#machinery = machinery;
  }

  /**
   * Fetches ranges of layers in their order, behind all readers: one queue for the layers of an image. See
   * `prefetchInOrder`.
   * @returns when all of it has arrived or failed.
   * @throws the signal's reason
   */
  fetch(
    ranges: AsyncIterable<LayerRange> | Iterable<LayerRange>,
    options: InOrderOptions,
  ): Promise<InOrderOutcome> {
    const seen = new Map<OpenLayer, PrefetchedLayer>();
    const ahead = (layer: OpenLayer) =>
      seen.getOrInsertComputed(layer, () => prefetched(layer, this.#machinery));
    const ordered = async function* () {
      for await (const range of ranges) {
        yield { ...range, layer: ahead(range.layer) };
      }
    };
    return prefetchInOrder(ordered(), options);
  }
}

/** Once a layer is closed, nothing of it is missing. */
function prefetched(
  layer: OpenLayer,
  { cache, scheduler, uncached }: Machinery,
): PrefetchedLayer {
  return {
    get spans() {
      return layer.spans;
    },
    get roomBytes() {
      return uncached.broken.aborted ? 0 : cache.roomBytes;
    },
    get bytesPerMs() {
      return scheduler.bytesPerMs(layer.host);
    },
    isMissing: (span) =>
      layer.isServed && layer.reader.stateOf(span) === SpanState.MISSING,
    prefetch: (span, signal) =>
      layer.reader.ensureSpans(span, span, "expected", signal),
  };
}
