import type { SpanTable, ZtocCompression } from "../../formats/ztoc/mod.ts";
import type { SpanClass } from "./classes.ts";
import type { SpanError } from "./errors.ts";
import type { HeaderTable } from "./headers.ts";
import type { InflatePool } from "./inflate_pool.ts";
import type { SpanMap } from "./map.ts";
import type { SpanScheduler } from "./scheduler.ts";
import type { SpanSources } from "./sources.ts";
import type { UncachedSpans } from "./uncached.ts";

/** What a `LayerReader` works with. It owns none of it. */
export interface LayerReaderOptions {
  /** The layer blob's digest, for errors and logs. */
  readonly layerDigest: string;
  /** Where its spans are, compressed and not. */
  readonly spans: SpanTable;
  /** Whether spans are gzip pieces, zstd frames, or plain bytes. */
  readonly compression: ZtocCompression;
  /** Which spans are present; changed by this reader alone. */
  readonly map: SpanMap;
  /**
   * Bytes that were read of each span, which readers of the data file add to. If it is not given, only what
   * is asked of this reader is counted.
   */
  readonly reads?: Uint32Array;
  /** The data file; open until `close` has resolved. */
  readonly dataFd: number;
  /**
   * Whether bytes of the data file are never destroyed, as others read it too. A span that is missing again is
   * written over with what was there. Default: they may be.
   */
  readonly staysWhole?: boolean;
  /** Where missing spans are fetched from. */
  readonly sources: SpanSources;
  /** Shared by all layers. */
  readonly scheduler: SpanScheduler;
  /** Shared by all layers. */
  readonly pool: InflatePool;
  /** The tar headers spans must hold; null: not checked. Open until `close` has resolved. */
  readonly headers: HeaderTable | null;
  /** Keeps spans that could not be written to disk, and knows whether the disk can be trusted. */
  readonly uncached: UncachedSpans;
  /**
   * The most bytes to read ahead. Must be a small part of the cache's budget, or read-ahead would
   * evict its own spans.
   */
  readonly maxReadAheadBytes?: number;
  /**
   * How often a span is fetched again from a source that gave other bytes; each source is asked once in any case.
   * Default 3.
   */
  readonly digestRetries?: number;
  /** Called with the compressed bytes of each range fetched, and the number of spans that are whole by it. */
  readonly onFetched?: (bytes: number, cls: SpanClass, spans: number) => void;
  /** Called when a span's bytes are in the data file. */
  readonly onPresent?: (span: number) => void;
  /** Whether a start pack may bring bytes ahead of their spans. Default: none does. */
  readonly mayBePacked?: boolean;
  /** Called when bytes of a span that is not here came by a start pack. */
  readonly onRange?: (span: number) => void;
  /** Called when such bytes turned out to be others than the span's, once it came: where in the tar. */
  readonly onPackLie?: (span: number, offset: number) => void;
  /** Called when every span is present. */
  readonly onComplete?: () => void;
  /**
   * Called when spans are missing again, before their bytes are destroyed. The returned promise
   * must resolve when every reader that saw them present has finished its copy. Only then are the
   * bytes destroyed.
   */
  readonly onGone?: () => Promise<void>;
  /** Called when bytes that an earlier process left in the data file are other ones now. */
  readonly onDamaged?: () => void;
  /** Called when the ztoc was found to be wrong about the layer. */
  readonly onLie?: (error: SpanError) => void;
}
