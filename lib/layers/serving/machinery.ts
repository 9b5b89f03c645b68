import type { LayerFileSystem } from "../fs/mod.ts";
import {
  InflatePool,
  SpanCache,
  type SpanClass,
  SpanScheduler,
  UncachedSpans,
} from "../spans/mod.ts";
import {
  DiskReserve,
  IdleLayerFolders,
  LayerSaver,
  type SlotTableStore,
} from "../store/mod.ts";
import { isFullDatabase } from "../../host/files/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import { bootId } from "../../host/os/mod.ts";

const log = logger("images");
/**
 * Compressed bytes in memory for each inflate Worker: one span that is inflated, and one that comes
 * meanwhile. On a fast line inflating is what takes time, so more would only wait; on a slow one of
 * 100 ms those of two Workers are a Gbit/s.
 */
const HELD_BYTES_PER_WORKER = 8 * 2 ** 20;
/** What one reader may have ahead of it is the cache's budget divided by this. */
const READ_AHEAD_SHARE = 8;
const DEFAULT_READ_WAIT_MS = 30_000;

/** How layers are filled and kept. */
export interface MachineryOptions {
  /** How long a read waits for bytes that do not come before it fails, ms. Default 30 000. */
  readonly readWaitMs?: number;
  /** The most bytes all caches may take; everything is kept when not given or 0. */
  readonly maxCacheBytes?: number;
  /** The most compressed bytes a second the background may fetch; no bound when not given or 0. */
  readonly backgroundBytesPerSecond?: number;
  /** Whether tar headers are compared with the ztoc as they come. Default: `checked`. */
  readonly headers?: "checked" | "trusted";
}

/** What was fetched since the store was opened, compressed bytes. */
export interface FetchFigures {
  /** For readers that waited. */
  demandBytes: number;
  /** Ahead of readers. */
  prefetchBytes: number;
  /** Because there was room on the line. */
  backgroundBytes: number;
  /** Ranges, of all kinds. */
  requests: number;
}

/** How full the caches are, uncompressed bytes. */
export interface CacheFigures {
  /** Of all spans that are here. */
  readonly bytes: number;
  /** null: no budget. */
  readonly maxBytes: number | null;
  /** Given up since the store was opened. */
  readonly evictedBytes: number;
  /** How the cache's disk failed; null: it did not. */
  readonly broken: string | null;
  /** Layers that nobody serves, and what they take of `bytes`. */
  readonly idleLayers: number;
  /** On disk. */
  readonly idleBytes: number;
}

/**
 * What all open layers of a process share: the file system that shows them, the cache that bounds
 * them, what fetches and inflates for them. Owns what it makes, not what it is given.
 */
export class Machinery implements Disposable {
  readonly bootId = bootId();
  readonly readWaitMs: number;
  readonly headers: "checked" | "trusted";
  /** Which trees on disk are used; in mounts that were taken over the kernel knows their numbers. */
  readonly trees: "current" | "any";
  /** Folder of the layers' folders. */
  readonly layersDirectory: string;
  readonly files: LayerFileSystem;
  readonly slots: SlotTableStore;
  readonly saver: LayerSaver;
  /** Layers on disk that nobody serves. */
  readonly idle: IdleLayerFolders;
  readonly cache: SpanCache;
  readonly pool = new InflatePool();
  readonly scheduler: SpanScheduler;
  /** What the disk did not take. */
  readonly uncached: UncachedSpans;
  /** Disk for state, which caches must not take. */
  readonly reserve: DiskReserve;
  /** What was fetched so far. */
  readonly fetched: FetchFigures = {
    demandBytes: 0,
    prefetchBytes: 0,
    backgroundBytes: 0,
    requests: 0,
  };

  constructor(
    layersDirectory: string,
    given: {
      readonly files: LayerFileSystem;
      readonly slots: SlotTableStore;
      readonly mounts: "new" | "taken";
    },
    options: MachineryOptions & { readonly root: string },
  ) {
    const { maxCacheBytes = 0, backgroundBytesPerSecond = 0 } = options;
    const { slots } = given;
    this.readWaitMs = options.readWaitMs ?? DEFAULT_READ_WAIT_MS;
    this.headers = options.headers ?? "checked";
    this.trees = given.mounts === "taken" ? "any" : "current";
    this.layersDirectory = layersDirectory;
    this.files = given.files;
    this.slots = slots;
    const reserve = new DiskReserve(options.root);
    reserve.restore();
    this.reserve = reserve;
    this.uncached = new UncachedSpans({
      mayGrow: () => reserve.cachesMayGrow,
    });
    this.saver = new LayerSaver(layersDirectory, slots);
    this.idle = new IdleLayerFolders(
      layersDirectory,
      slots.all().map(({ slot }) => slot),
      this.forget,
    );
    this.cache = new SpanCache({ maxBytes: maxCacheBytes, idle: this.idle });
    this.scheduler = new SpanScheduler({
      backgroundBytesPerSecond,
      maxHeldBytes: this.pool.capacity * HELD_BYTES_PER_WORKER,
    });
  }

  /**
   * Forgets a slot whose folder goes. On a disk so full that not even this can be written the folder goes all the
   * same, and the row with the next start: its layer would be fetched again.
   */
  readonly forget = (slot: number): void => {
    try {
      this.slots.remove(slot);
    } catch (error) {
      if (!isFullDatabase(error)) throw error;
      log.warn("a removed layer is forgotten at the next start", { slot });
    }
  };

  /** The most bytes one reader may have ahead of it. */
  get maxReadAheadBytes(): number {
    return this.cache.maxBytes / READ_AHEAD_SHARE;
  }

  /** Counts a range that was fetched. */
  readonly countFetched = (bytes: number, cls: SpanClass): void => {
    this.fetched.requests++;
    this.fetched[`${cls}Bytes`] += bytes;
  };

  /** How full the caches are. */
  cacheFigures(): CacheFigures {
    const { bytes, maxBytes, evictedBytes } = this.cache;
    const { broken } = this.uncached;
    return {
      bytes,
      maxBytes: maxBytes === Infinity ? null : maxBytes,
      evictedBytes,
      broken: broken.aborted ? String(broken.reason?.message) : null,
      idleLayers: this.idle.slots().length,
      idleBytes: this.idle.bytes,
    };
  }

  /** Ends what fetches and inflates; every layer must be closed. */
  [Symbol.dispose](): void {
    this.cache[Symbol.dispose]();
    this.scheduler[Symbol.dispose]();
    this.pool[Symbol.dispose]();
  }
}
