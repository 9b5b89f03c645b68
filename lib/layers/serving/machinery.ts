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
import { forgetProgram } from "../../host/memory/mod.ts";
import { bootId } from "../../host/os/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import { LayerOpener } from "../opening/mod.ts";
import { BackgroundHold } from "./background_hold.ts";
import type { WaitFigures } from "./patient_reads.ts";
import { Twins } from "./twins.ts";

const log = logger("images");

/**
 * Compressed bytes in memory per inflate Worker: one span being inflated, and one arriving. On a
 * fast line inflating is the bottleneck, so more would only wait. On a line with a round trip of
 * 100 ms, the bytes of two Workers allow a Gbit/s.
 */
const HELD_BYTES_PER_WORKER = 8 * 2 ** 20;
/** One reader's read-ahead is bounded by the cache's budget divided by this. */
const READ_AHEAD_SHARE = 8;
const DEFAULT_READ_WAIT_MS = 30_000;
const DEFAULT_OPENING_BYTES = 2 ** 30;
/** So long after a layer was opened no other one has been: its readers come next, ms. */
const OPENED_MS = 50;
/** So long after a layer was opened what of the program only opening needs leaves memory, ms. */
const FORGET_MS = 1_000;

/** How layers are fetched and cached. */
export interface MachineryOptions {
  /** How long a read waits for bytes before it fails, ms. Default 30 000. */
  readonly readWaitMs?: number;
  /** The most bytes that all caches may take. Default, or 0: no limit. */
  readonly maxCacheBytes?: number;
  /**
   * Whether what layers that were taken whole can be fetched by in parts stays when their bytes go. Default: it is
   * removed with them.
   */
  readonly indexes?: "kept" | "removed";
  /**
   * The most compressed bytes per second that background filling may fetch. Default, or 0: no
   * limit.
   */
  readonly backgroundBytesPerSecond?: number;
  /** The least time between two spans of the background, ms. Default, or 0: none. */
  readonly backgroundPeriodMs?: number;
  /** How often a span with a wrong digest is fetched again: see `LayerReaderOptions`. Default 3. */
  readonly digestRetries?: number;
  /** Whether tar headers are compared with the ztoc as they arrive. Default: `checked`. */
  readonly headers?: "checked" | "trusted";
  /** The most memory that opening a layer may take, bytes. Default 1 GiB. */
  readonly maxOpeningBytes?: number;
  /** How long the background gives way to layers that are fetched whole, at a stretch, ms. Default 60 000. */
  readonly longestHoldMs?: number;
}

/** Compressed bytes fetched since the store was opened, and the reads that waited for bytes. */
export interface FetchFigures extends WaitFigures {
  /** For waiting readers. */
  demandBytes: number;
  /** Ahead of readers. */
  prefetchBytes: number;
  /** For background filling. */
  backgroundBytes: number;
  /** Spans that came for background filling. */
  backgroundSpans: number;
  /** Number of range requests of all kinds. */
  requests: number;
}

/** How full the caches are, uncompressed bytes. */
export interface CacheFigures {
  /** Bytes of all cached spans. */
  readonly bytes: number;
  /** The budget; null if there is none. */
  readonly maxBytes: number | null;
  /** Bytes evicted since the store was opened. */
  readonly evictedBytes: number;
  /** How the cache's disk failed; null if it did not. */
  readonly broken: string | null;
  /** Number of cached layers that are not served. */
  readonly idleLayers: number;
  /** Bytes of these layers on disk; part of `bytes`. */
  readonly idleBytes: number;
}

/**
 * What all open layers of a process share: the file system, the cache, the scheduler, the inflate
 * pool. Owns what it makes, not what it is given.
 */
export class Machinery implements Disposable {
  readonly bootId = bootId();
  readonly readWaitMs: number;
  readonly digestRetries: number;
  readonly headers: "checked" | "trusted";
  /**
   * Which trees on disk may be used. In mounts that were taken over, the kernel uses their inode
   * numbers.
   */
  readonly trees: "current" | "any";
  /** The folder of the layers' folders. */
  readonly layersDirectory: string;
  readonly files: LayerFileSystem;
  readonly slots: SlotTableStore;
  readonly saver: LayerSaver;
  /** Room on the disk for what must be written. */
  readonly reserve: DiskReserve;
  /** Layers on disk that are not served. */
  readonly idle: IdleLayerFolders;
  readonly cache: SpanCache;
  /** Layers with the same tar. */
  readonly twins = new Twins();
  readonly pool = new InflatePool();
  #opened: ReturnType<typeof setTimeout> | undefined;
  #forgetting: ReturnType<typeof setTimeout> | undefined;
  /** Makes what layers are served with. */
  readonly opener: LayerOpener;
  readonly scheduler: SpanScheduler;
  /** For layers that are fetched whole. */
  readonly hold: BackgroundHold;
  /** Spans that could not be written to disk. */
  readonly uncached: UncachedSpans;
  /** What was fetched since the store was opened. */
  readonly fetched: FetchFigures = {
    demandBytes: 0,
    prefetchBytes: 0,
    backgroundBytes: 0,
    backgroundSpans: 0,
    requests: 0,
    ...{ waits: 0, waitedMs: 0 },
  };

  constructor(
    layersDirectory: string,
    given: {
      readonly root: string;
      readonly files: LayerFileSystem;
      readonly slots: SlotTableStore;
      readonly mounts: "new" | "taken";
    },
    options: MachineryOptions,
  ) {
    const { maxCacheBytes = 0, backgroundBytesPerSecond = 0 } = options;
    const { backgroundPeriodMs = 0 } = options;
    const { slots } = given;
    this.readWaitMs = options.readWaitMs ?? DEFAULT_READ_WAIT_MS;
    this.digestRetries = options.digestRetries ?? 3;
    this.headers = options.headers ?? "checked";
    this.trees = given.mounts === "taken" ? "any" : "current";
    this.layersDirectory = layersDirectory;
    this.files = given.files;
    this.slots = slots;
    this.opener = new LayerOpener({
      root: given.root,
      maxBytes: options.maxOpeningBytes ?? DEFAULT_OPENING_BYTES,
    });
    this.reserve = new DiskReserve(given.root);
    this.reserve.restore();
    this.uncached = new UncachedSpans({
      mayGrow: () => this.reserve.cachesMayGrow,
    });
    this.saver = new LayerSaver(layersDirectory, slots);
    this.idle = new IdleLayerFolders(
      layersDirectory,
      slots.all().map(({ slot }) => slot),
      this.forget,
      options.indexes,
      () => this.cache.idled(),
    );
    this.cache = new SpanCache({ maxBytes: maxCacheBytes, idle: this.idle });
    this.scheduler = new SpanScheduler({
      backgroundBytesPerSecond,
      backgroundPeriodMs,
      maxHeldBytes: this.pool.capacity * HELD_BYTES_PER_WORKER,
    });
    this.hold = new BackgroundHold(this.scheduler, options.longestHoldMs);
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

  /** Layers will be opened soon. What takes time to start is started while the registry is asked. */
  expectLayers(): void {
    this.files.expectLayers();
    this.opener.expectImage();
  }

  /**
   * A layer was opened. What takes time to start for its readers is started when no other one follows:
   * opening them needs the cores first, and memory. What of the program only opening needs goes then.
   * @param layer where all of it is here, the kernel reads it without us.
   */
  expectReaders({ isWhole }: { readonly isWhole: boolean }): void {
    clearTimeout(this.#forgetting);
    this.#forgetting = setTimeout(forgetProgram, FORGET_MS);
    if (isWhole) return; // nothing is inflated for its readers
    clearTimeout(this.#opened);
    this.#opened = setTimeout(() => this.pool.wake(), OPENED_MS);
  }

  /** The most bytes of one reader's read-ahead. */
  get maxReadAheadBytes(): number {
    return this.cache.maxBytes / READ_AHEAD_SHARE;
  }

  /** Counts a fetched range. */
  readonly countFetched = (
    bytes: number,
    cls: SpanClass,
    spans: number,
  ): void => {
    this.fetched.requests++;
    if (cls === "background") this.fetched.backgroundSpans += spans;
    this.fetched[`${cls === "expected" ? "prefetch" : cls}Bytes`] += bytes;
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

  /** Ends fetching and inflating. All layers must be closed before. */
  [Symbol.dispose](): void {
    clearTimeout(this.#opened);
    clearTimeout(this.#forgetting);
    this.cache[Symbol.dispose]();
    this.hold[Symbol.dispose]();
    this.scheduler[Symbol.dispose]();
    this.opener[Symbol.dispose]();
    this.pool[Symbol.dispose]();
  }
}
