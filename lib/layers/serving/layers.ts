import type { MountKeeper } from "../../host/handover/mod.ts";
import { chooseFace, type FaceChoice, type FaceWish } from "../faces/mod.ts";
import { LayerFileSystem } from "../fs/mod.ts";
import { type Digest, sha256 } from "../../formats/oci/mod.ts";
import {
  bootId,
  closeFd,
  fileSize,
  makeFolder,
  O,
  openFd,
  OsError,
  truncateFd,
} from "../../host/os/mod.ts";
import {
  type CachedLayer,
  HeaderTable,
  InflatePool,
  LayerReader,
  SpanCache,
  type SpanClass,
  type SpanError,
  SpanMap,
  SpanScheduler,
  type SpanSource,
  UncachedSpans,
} from "../spans/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import {
  decodeZtoc,
  type SpanTable,
  spanTable,
} from "../../formats/ztoc/mod.ts";
import { LyingZtocError, StateVersionError } from "../store/mod.ts";
import { IdleLayerFolders } from "../store/mod.ts";
import {
  namesIn,
  putOnDisk,
  readIfThere,
  removeFolder,
} from "../../host/files/mod.ts";
import { detachBelow, foreignTree, takeMounts } from "./last_process.ts";
import { LayerCheck } from "./layer_check.ts";
import {
  holds,
  type NewFile,
  newTree,
  openTree,
  saveFiles,
} from "../store/mod.ts";
import { takeLock } from "../store/mod.ts";
import { PatientReads } from "./patient_reads.ts";
import { SharedRun } from "../store/mod.ts";
import { SlotTableStore } from "../store/mod.ts";

const log = logger("images");
/**
 * Compressed bytes in memory for each inflate Worker: one span that is inflated, and one that comes
 * meanwhile. On a fast line inflating is what takes time, so more would only wait; on a slow one of
 * 100 ms those of two Workers are a Gbit/s.
 */
const HELD_BYTES_PER_WORKER = 8 * 2 ** 20;
/** What one reader may have ahead of it is the cache's budget divided by this. */
const READ_AHEAD_SHARE = 8;

/** A layer that is being served. */
export interface OpenLayer {
  readonly slot: number;
  readonly layerDigest: string;
  /** Its root, read-only; may be a lower directory of overlay. */
  readonly directory: string;
  /** Of that directory. */
  readonly owner: { readonly uid: number; readonly gid: number };
  /**
   * Resolves when the directory is in place, and all a successor needs is on disk; rejects when that
   * cannot be.
   */
  readonly shown: Promise<void>;
  readonly reader: LayerReader;
  readonly spans: SpanTable;
  /** Bytes of the layer blob. */
  readonly compressedSize: number;
  readonly inodes: number;
  /** Which spans are here, one byte each. */
  readonly map: SpanMap;
}

interface Entry extends OpenLayer {
  readonly ztocDigest: string;
  readonly dataFd: number;
  readonly headers: HeaderTable | null;
  readonly source: SpanSource;
  readonly cached: CachedLayer;
  readonly check: LayerCheck;
  readonly stop: AbortController;
  uses: number;
}

/** How a store is opened. */
export interface LayerStoreOptions {
  /** Durable state: slots and layer caches. */
  readonly root: string;
  /** Empty folder for the FUSE mounts; short, because overlay options are bounded. */
  readonly mountDirectory: string;
  /** How layers are shown; `auto` when not said. */
  readonly face?: FaceWish;
  /** Starts the process that makes EROFS mounts, see `MountHelper`; a thread makes them when not said. */
  readonly mountHelper?: readonly string[];
  /** Lets the mounts outlive this process, and takes those of the last one. Default: neither. */
  readonly keeper?: MountKeeper;
  /** How long a read waits for bytes that do not come before it fails, ms. Default 30 000. */
  readonly readWaitMs?: number;
  /** The most bytes all caches may take; everything is kept when not given or 0. */
  readonly maxCacheBytes?: number;
  /** The most compressed bytes a second the background may fetch; no bound when not given or 0. */
  readonly backgroundBytesPerSecond?: number;
  /** Whether tar headers are compared with the ztoc as they come. Default: `checked`. */
  readonly headers?: "checked" | "trusted";
}

const DEFAULT_READ_WAIT_MS = 30_000;

/** What was fetched since the store was opened, compressed bytes. */
export interface FetchFigures {
  demandBytes: number;
  prefetchBytes: number;
  backgroundBytes: number;
  requests: number;
}

/** How full the caches are, uncompressed bytes. */
export interface CacheFigures {
  readonly bytes: number;
  /** null: no budget. */
  readonly maxBytes: number | null;
  /** Given up since the store was opened. */
  readonly evictedBytes: number;
  /** How the cache's disk failed; null: it did not. */
  readonly broken: string | null;
  /** Layers that nobody serves, and what they take of `bytes`. */
  readonly idleLayers: number;
  readonly idleBytes: number;
}

/**
 * All layers this process serves: their caches on disk, their place in the file system, the
 * readers that fill them. One process owns a store's root, held by a lock.
 */
export class LayerStore implements AsyncDisposable {
  readonly fetched: FetchFigures = {
    demandBytes: 0,
    prefetchBytes: 0,
    backgroundBytes: 0,
    requests: 0,
  };
  readonly #layers = new Map<number, Entry>();
  readonly #bootId = bootId();
  readonly #keeper: MountKeeper | undefined;
  readonly #readWaitMs: number;
  /** New layers whose files are being written. */
  readonly #saving = new Map<number, Promise<void>>();
  /** Closings under way; their descriptors are still open. */
  readonly #closing = new Map<number, Promise<void>>();
  readonly #scheduler: SpanScheduler;
  readonly #cache: SpanCache;
  readonly #idle: IdleLayerFolders;
  readonly #uncached = new UncachedSpans();
  readonly #headers: "checked" | "trusted";

  /** Durable state: slots and layer caches. */
  readonly root: string;
  /** How layers are shown, and why so. */
  readonly face: FaceChoice;
  readonly #lock: Deno.FsFile;
  readonly #slots: SlotTableStore;
  /** The names in the folder of layers. */
  readonly #layersOnDisk: SharedRun;
  readonly #files: LayerFileSystem;
  readonly #pool = new InflatePool();

  private constructor(
    options: LayerStoreOptions,
    owned: {
      lock: Deno.FsFile;
      slots: SlotTableStore;
      files: LayerFileSystem;
      face: FaceChoice;
    },
  ) {
    this.face = owned.face;
    this.#keeper = options.keeper;
    this.#readWaitMs = options.readWaitMs ?? DEFAULT_READ_WAIT_MS;
    const { root, maxCacheBytes = 0, backgroundBytesPerSecond = 0 } = options;
    this.root = root;
    this.#layersOnDisk = new SharedRun(() => putOnDisk(`${root}/layers`));
    this.#headers = options.headers ?? "checked";
    this.#scheduler = new SpanScheduler({
      backgroundBytesPerSecond,
      maxHeldBytes: this.#pool.capacity * HELD_BYTES_PER_WORKER,
    });
    this.#idle = new IdleLayerFolders(
      `${root}/layers`,
      owned.slots.all().map(({ slot }) => slot),
      (slot) => owned.slots.remove(slot),
    );
    this.#cache = new SpanCache({ maxBytes: maxCacheBytes, idle: this.#idle });
    this.#lock = owned.lock;
    this.#slots = owned.slots;
    this.#files = owned.files;
  }

  /** A store that is served from the start. @throws OsError; Error when another process has the root. */
  static async open(options: LayerStoreOptions): Promise<LayerStore> {
    const store = await LayerStore.resume(options);
    try {
      await store.serve();
    } catch (error) {
      await store[Symbol.asyncDispose]();
      throw error;
    }
    return store;
  }

  /**
   * A store whose mounts answer nothing before `serve` is called: so that every layer the last
   * process served can be restored first. Takes that process's mounts over when there is a keeper
   * and they can be, else mounts anew.
   * @throws OsError, StateVersionError, ErofsUnusableError; Error when another process has the root.
   */
  static async resume(options: LayerStoreOptions): Promise<LayerStore> {
    const { root, mountDirectory } = options;
    Deno.mkdirSync(`${root}/layers`, { recursive: true, mode: 0o700 });
    const lock = takeLock(`${root}/lock`);
    let slots: SlotTableStore | undefined;
    try {
      slots = new SlotTableStore(`${root}/slots.db`);
      const taken = takeMounts(options, slots);
      if (taken === null) {
        // Mounts of a process that died are dead for good: nobody answers them.
        detachBelow(mountDirectory);
      }
      Deno.mkdirSync(mountDirectory, { recursive: true, mode: 0o700 });
      const face = await chooseFace(options.face ?? "auto", {
        mountDirectory,
        testedFile: `${root}/erofs-tested`,
        mountHelper: options.mountHelper ?? null,
      });
      log.info("layers are shown", { ...face });
      const files = await LayerFileSystem.open({
        layersDirectory: `${root}/layers`,
        mountDirectory,
        face: face.face,
        ...(options.mountHelper !== undefined &&
          { mountHelper: options.mountHelper }),
        onFallback: (slot, reason) =>
          log.warn("layer is shown by FUSE", { slot, reason }),
        onReadError: (slot, offset, error) =>
          log.error("read failed", { slot, offset, error: String(error) }),
        onFault: (mountpoint, detail) =>
          log.error("fault while serving a mount", { mountpoint, detail }),
        ...(taken !== null && { taken }),
      });
      return new LayerStore(options, { lock, slots, files, face });
    } catch (error) {
      slots?.[Symbol.dispose]();
      lock.close();
      throw error;
    }
  }

  /**
   * Takes away what a process left that nobody will succeed: whoever waits on its mounts gets an
   * error. Caches stay.
   * @throws Error when a process has the root.
   */
  static abandon(
    { root, mountDirectory, keeper }: LayerStoreOptions & {
      readonly keeper: MountKeeper;
    },
  ): void {
    const lock = takeLock(`${root}/lock`);
    try {
      keeper.release();
      detachBelow(mountDirectory);
    } finally {
      lock.close();
    }
  }

  /**
   * Looks whether this release understands the state below `root`, without changing it; another
   * process may be using it.
   * @throws StateVersionError
   */
  static assertUnderstood(root: string): void {
    const path = `${root}/slots.db`;
    if (!SlotTableStore.exists(path)) return;
    using slots = new SlotTableStore(path, { access: "read" });
    const foreign = foreignTree(root, slots);
    if (foreign !== null) {
      throw new StateVersionError(`${root}/layers`, foreign);
    }
  }

  /** Layers are about to be added: what takes time to start is started. */
  expectLayers(): void {
    this.#files.expectLayers();
  }

  /** Starts answering reads. With a keeper, the mounts outlive this process from here on. */
  async serve(): Promise<void> {
    await Promise.allSettled(this.#saving.values()); // the FUSE tree reads them
    await this.#files.serve();
    this.#cache.start(); // a predecessor that still read these files is gone
    this.#keeper?.keep(await this.#files.mounts());
  }

  /**
   * Leaves mounts and layers to the next process: disposing of the store then saves and closes
   * everything but unmounts nothing. Until this process ends, reads of what is here are answered
   * still, others wait for the successor. Only with a keeper.
   */
  async leave(): Promise<void> {
    await this.#files.settled(); // a successor finds every mount
    this.#keeper?.keep(await this.#files.mounts());
    this.#files.detach();
  }

  /**
   * Serves a layer by a ztoc whose digest was checked; a layer that is served already is shared.
   * Each call is undone by one `release`. The store takes the source over (and disposes it).
   * @param diffId what the whole tar must be; null when that was checked already.
   * @throws ZtocError, TreeCompileError, LyingZtocError, OsError
   */
  add(
    layerDigest: string,
    ztocBytes: Uint8Array<ArrayBuffer>,
    source: SpanSource,
    diffId: Digest | null,
  ): OpenLayer {
    const ztocDigest = sha256(ztocBytes);
    const lie = this.#slots.condemned(layerDigest, ztocDigest);
    if (lie !== null) {
      disposeSource(source);
      throw new LyingZtocError(layerDigest, ztocDigest, lie);
    }
    const { slot } = this.#slots.assign(layerDigest, ztocDigest);
    const known = this.#layers.get(slot);
    if (known !== undefined) {
      known.uses++;
      disposeSource(source);
      return known;
    }
    const entry = this.#openEntry(
      { slot, layerDigest, ztocDigest, ztocBytes, diffId },
      source,
    );
    this.#layers.set(slot, entry);
    this.#cache.add(entry.cached);
    if (entry.reader.complete) this.#allHere(entry);
    return entry;
  }

  // Whatever a closure in here uses, all of them keep as long as the layer is served: none may use
  // `ztoc`, which is mostly names.
  #openEntry(
    layer: {
      slot: number;
      layerDigest: string;
      ztocDigest: string;
      ztocBytes: Uint8Array<ArrayBuffer>;
      diffId: Digest | null;
    },
    source: SpanSource,
  ): Entry {
    const { slot, layerDigest, ztocDigest, ztocBytes } = layer;
    const ztoc = decodeZtoc(ztocBytes);
    const { compression, compressedSize, uncompressedSize } = ztoc;
    const spans = spanTable(ztoc);
    const folder = `${this.root}/layers/${slot}`;
    const isNew = makeFolder(folder, 0o700);
    const files: NewFile[] = [];
    const tree = (isNew ? null : openTree(`${folder}/tree`)) ??
      newTree(ztoc, spans, files);
    const { hasXattrs, inodes } = tree;
    if (isNew || !holds(`${folder}/ztoc`, ztocBytes)) {
      files.push({ name: "ztoc", bytes: ztocBytes });
    }
    this.#idle.take(slot);
    const check = LayerCheck.open({
      folder,
      isNew,
      layerDigest,
      diffId: layer.diffId,
      spans,
      ztoc: { compression, compressedSize, uncompressedSize },
      source,
    });
    if (check.newDiffId !== null) {
      const bytes = new TextEncoder().encode(check.newDiffId);
      files.push({ name: "diff-id", bytes });
    }
    const saved = this.#save(slot, folder, files);
    using opened = new DisposableStack();
    const headers = this.#headers === "trusted" ? null : opened.use(
      HeaderTable[isNew ? "make" : "open"](`${folder}/headers`, ztoc, spans),
    );
    const dataFd = openFd(`${folder}/data`, O.RDWR | O.CREAT);
    opened.defer(() => closeFd(dataFd));
    const trusted = fileSize(dataFd) === uncompressedSize &&
      uncompressedSize > 0;
    truncateFd(dataFd, uncompressedSize);
    const { directory, shown, presence, uses } = this.#files.add({
      slot,
      spanCount: spans.count,
      hasXattrs,
      saved,
      ensure: (offset, length, signal) =>
        waiting.ensure(offset, length, signal),
      copy: (offset, into) => entry.reader.copy(offset, into),
    }, tree);
    opened.defer(() => this.#files.remove(slot));
    const map = opened.use(SpanMap.open(`${folder}/spans`, presence, {
      bootId: this.#bootId,
      trusted,
    }));
    const reader = new LayerReader({
      layerDigest,
      spans,
      compression,
      map,
      dataFd,
      source,
      scheduler: this.#scheduler,
      pool: this.#pool,
      headers,
      uncached: this.#uncached,
      maxReadAheadBytes: this.#cache.maxBytes / READ_AHEAD_SHARE,
      onFetched: (bytes, cls) => this.#count(bytes, cls),
      onPresent: (span) => this.#cache.present(entry.cached, span),
      onComplete: () => this.#allHere(entry),
      onGone: () => {
        this.#files.spansHere(slot, "not here");
        const copied = this.#files.spansGone(slot);
        this.#cache.gone(entry.cached);
        return copied;
      },
      onLie: (error) => this.#condemn(entry, error),
    });
    const waiting = new PatientReads(reader, this.#readWaitMs);
    opened.move();
    const entry: Entry = {
      slot,
      layerDigest,
      ztocDigest,
      directory,
      owner: { uid: tree.uid[0] as number, gid: tree.gid[0] as number },
      shown: both(shown, saved),
      reader,
      spans,
      compressedSize,
      inodes,
      map,
      dataFd,
      headers,
      source,
      cached: { spans, map, reader, uses },
      check,
      stop: new AbortController(),
      uses: 1,
    };
    return entry;
  }

  #allHere(entry: Entry): void {
    this.#files.spansHere(entry.slot, "here");
    this.#checkWhole(entry);
  }

  /** Puts a new layer's files on disk while this thread goes on. */
  #save(
    slot: number,
    folder: string,
    files: readonly NewFile[],
  ): Promise<void> {
    if (files.length === 0) return Promise.resolve();
    const saved = saveFiles(folder, files)
      // Whoever commits a snapshot on this layer relies on its name and its slot, too.
      .then(() => both(this.#layersOnDisk.run(), this.#slots.sync()))
      .finally(() => this.#saving.delete(slot));
    saved.catch(() => {}); // whoever waits for `shown` sees the failure
    this.#saving.set(slot, saved);
    return saved;
  }

  /** Compares a layer that is all here with its diff ID, once. */
  #checkWhole(entry: Entry): void {
    entry.check.run(entry.reader, entry.stop.signal).then((lie) => {
      if (lie === null || entry.stop.signal.aborted) return;
      this.#condemn(entry, lie);
      entry.reader.condemn(lie);
    }, (error) => {
      if (entry.stop.signal.aborted) return;
      log.warn("layer could not be checked as a whole", {
        layer: entry.layerDigest,
        error: String(error),
      });
    });
  }

  /** Sees to it that a ztoc is not used again. What is wrong was told to readers already. */
  #condemn({ layerDigest, ztocDigest }: Entry, error: SpanError): void {
    this.#slots.condemn(layerDigest, ztocDigest, error.message);
    this.#slots.sync().catch((error) =>
      log.warn("that a ztoc lies may be forgotten", { error: String(error) })
    );
    log.error("ztoc lies about its layer and is not used again", {
      layer: layerDigest,
      ztoc: ztocDigest,
      kind: error.kind,
      span: error.span,
      error: error.message,
    });
  }

  #count(bytes: number, cls: SpanClass): void {
    this.fetched.requests++;
    this.fetched[`${cls}Bytes`] += bytes;
  }

  /** How full the caches are. */
  cacheFigures(): CacheFigures {
    const { bytes, maxBytes, evictedBytes } = this.#cache;
    const { broken } = this.#uncached;
    return {
      bytes,
      maxBytes: maxBytes === Infinity ? null : maxBytes,
      evictedBytes,
      broken: broken.aborted ? String(broken.reason?.message) : null,
      idleLayers: this.#idle.slots().length,
      idleBytes: this.#idle.bytes,
    };
  }

  /** Holds background fetching up, or lets it go on. */
  setBackground(state: "running" | "paused"): void {
    if (state === "paused") this.#scheduler.pauseBackground();
    else this.#scheduler.resumeBackground();
  }

  /**
   * Serves a layer again as it was served before, from what is on disk alone.
   * @param options.slot the one it had: the kernel may still know it by that.
   * @returns null when nothing usable is on disk.
   */
  restore(
    layerDigest: string,
    makeSource: () => SpanSource,
    options: { readonly slot?: number } = {},
  ): OpenLayer | null {
    const records = this.#slots.all()
      .filter((record) => record.layerDigest === layerDigest)
      .sort((a, b) =>
        Number(b.slot === options.slot) - Number(a.slot === options.slot)
      );
    for (const record of records) {
      const bytes = readIfThere(`${this.root}/layers/${record.slot}/ztoc`);
      if (bytes === null || sha256(bytes) !== record.ztocDigest) continue;
      if (this.#slots.condemned(layerDigest, record.ztocDigest) !== null) {
        continue;
      }
      return this.add(layerDigest, bytes, makeSource(), null);
    }
    return null;
  }

  /** Whether the mounts are answered, so that directories come into place. */
  get serving(): boolean {
    return this.#files.serving;
  }

  /** Makes smaller in memory what is not used now, giving way to whatever else is waiting. */
  async shrink(): Promise<void> {
    for (const { spans } of this.all()) {
      while (spans.packNext()) {
        await new Promise((resolve) => setTimeout(resolve, 0));
      }
    }
  }

  /** The served layer of a slot. */
  get(slot: number): OpenLayer | undefined {
    return this.#layers.get(slot);
  }

  /** Every served layer. */
  all(): OpenLayer[] {
    return [...this.#layers.values()];
  }

  /**
   * Forgets every layer that is neither served nor in use nor kept: their slots, caches and
   * half-made files.
   * For a daemon that has restored all it knows: what is left is what a crash left over.
   * @param inUse directories of layers that are to be kept though they could not be restored.
   */
  sweep(inUse: readonly string[]): void {
    const wanted = new Set([...inUse.map(slotOf), ...this.#idle.slots()]);
    const known = new Set<string>();
    for (const { slot, layerDigest } of this.#slots.all()) {
      if (this.#layers.has(slot) || wanted.has(slot)) known.add(String(slot));
      else {
        log.info("layer of no snapshot is forgotten", {
          slot,
          layer: layerDigest,
        });
        this.#slots.remove(slot);
      }
    }
    for (const folder of ["layers", "ingest"]) {
      for (const name of namesIn(`${this.root}/${folder}`)) {
        if (folder === "layers" && known.has(name)) continue;
        Deno.removeSync(`${this.root}/${folder}/${name}`, { recursive: true });
      }
    }
    this.#files.sweep();
  }

  /**
   * Fetches what is missing of a layer, behind everything else; ends with the layer, or when the
   * budget is used up.
   */
  async fill(layer: OpenLayer): Promise<void> {
    const entry = this.#layers.get(layer.slot);
    if (entry === undefined) return;
    const { reader, map, dataFd, stop: { signal } } = entry;
    await reader.fill(signal, () => this.#cache.roomBytes);
    if (signal.aborted || this.#uncached.broken.aborted) return;
    try {
      await map.sync(dataFd);
    } catch (error) {
      // What was written is not on the disk, and the kernel tells of it once.
      if (error instanceof OsError) this.#uncached.diskBroken(error.message);
      throw error;
    }
  }

  /**
   * Ends one use of a layer. After the last one it is no longer served; its cache stays for the next
   * time, unless `discard`.
   */
  release(slot: number, options: { discard: boolean }): void {
    const entry = this.#layers.get(slot);
    if (entry === undefined || --entry.uses > 0) return;
    const closing = this.#close(entry, { sync: !options.discard })
      .finally(() => {
        if (this.#closing.get(slot) === closing) this.#closing.delete(slot);
      });
    this.#closing.set(slot, closing);
    if (options.discard) {
      this.#slots.remove(slot);
      const remove = () => removeFolder(`${this.root}/layers/${slot}`);
      const saving = this.#saving.get(slot);
      if (saving === undefined) remove();
      else saving.then(remove, remove);
    } else {
      this.#idle.add(slot);
    }
  }

  /** Serves a layer no more from the moment it is called; resolves when nothing uses its files. */
  async #close(entry: Entry, options: { sync: boolean }): Promise<void> {
    const { slot, reader, map, dataFd, headers, source } = entry;
    this.#layers.delete(slot);
    this.#cache.remove(entry.cached);
    entry.stop.abort(new Error("the layer is no longer served"));
    const idle = reader.close();
    if (options.sync && !this.#uncached.broken.aborted) {
      try {
        map.syncNow(dataFd);
      } catch (error) {
        // Unsynced marks are simply not trusted after a reboot.
        log.warn("cache could not be synced", {
          layer: entry.layerDigest,
          error: String(error),
        });
      }
    }
    // Takes the presence bytes back: nothing writes them from here on. A successor's layers stay
    // listed.
    if (!this.#files.detached) this.#files.remove(slot);
    map.freeze();
    await idle; // Workers write to the data file until then
    await map.close();
    if (!options.sync) giveDiskBack(dataFd);
    headers?.[Symbol.dispose]();
    closeFd(dataFd);
    disposeSource(source);
  }

  /** Stops serving and unmounts (or not, after `leave`). Caches stay. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#files[Symbol.asyncDispose]();
    if (!this.#files.detached) this.#keeper?.release();
    this.#cache[Symbol.dispose]();
    await Promise.allSettled(this.#saving.values());
    await Promise.all([
      ...this.#closing.values(),
      ...[...this.#layers.values()].map((entry) =>
        this.#close(entry, { sync: true })
      ),
    ]);
    this.#scheduler[Symbol.dispose]();
    this.#pool[Symbol.dispose]();
    this.#slots[Symbol.dispose]();
    this.#lock.close();
  }
}

/** The slot of a layer that is, or was, shown in `…/<slot>`; null for another directory. */
export function slotOf(directory: string | null): number | null {
  const [, digits] = /\/([1-9][0-9]{0,9})$/.exec(directory ?? "") ?? [];
  return digits === undefined ? null : Number(digits);
}

/** A FUSE Worker may keep a removed file open until it opens another layer. */
function giveDiskBack(dataFd: number): void {
  try {
    truncateFd(dataFd, 0);
  } catch (error) {
    if (!(error instanceof OsError)) throw error;
    log.warn("disk of a removed layer stays taken for now", {
      error: error.message,
    });
  }
}

function disposeSource(source: SpanSource): void {
  if (Symbol.dispose in source) (source as Disposable)[Symbol.dispose]();
}

function both(one: Promise<void>, other: Promise<void>): Promise<void> {
  const all = Promise.all([one, other]).then(() => {});
  all.catch(() => {}); // whoever waits for it sees the failure
  return all;
}
