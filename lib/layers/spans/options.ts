import type { SpanTable } from "../../formats/ztoc/mod.ts";
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
  /** Whether spans are gzip pieces, or plain bytes. */
  readonly compression: "gzip" | "uncompressed";
  /** Which of them are here; changed by this reader alone. */
  readonly map: SpanMap;
  /** The data file; open until `close` has resolved. */
  readonly dataFd: number;
  /** Where the missing ones come from. */
  readonly sources: SpanSources;
  /** Shared by all layers. */
  readonly scheduler: SpanScheduler;
  /** Shared by all layers. */
  readonly pool: InflatePool;
  /** The tar headers spans must hold; null: not checked. Open until `close` has resolved. */
  readonly headers: HeaderTable | null;
  /** Where spans go that the disk does not take, and whether it can be believed. */
  readonly uncached: UncachedSpans;
  /** The most bytes to read ahead; a part of the cache's budget, or it would push out itself. */
  readonly maxReadAheadBytes?: number;
  /** Told the compressed bytes of each range fetched. */
  readonly onFetched?: (bytes: number, cls: SpanClass) => void;
  /** A span's bytes are in the data file now. */
  readonly onPresent?: (span: number) => void;
  /** Every span is present. */
  readonly onComplete?: () => void;
  /**
   * Spans are missing again and their bytes are about to go, once what this gives resolves: when
   * nobody is copying who saw them present.
   */
  readonly onGone?: () => Promise<void>;
  /** The ztoc was found to lie about the layer. */
  readonly onLie?: (error: SpanError) => void;
}
