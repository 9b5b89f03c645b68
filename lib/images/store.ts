import { LayerFileSystem, LayerTree } from "../layerfs/mod.ts";
import { compileTree, TreeFormatError } from "../layerfs/mod.ts";
import { sha256 } from "../oci/mod.ts";
import {
  closeFd,
  fileSize,
  listMounts,
  O,
  openFd,
  OsError,
  readWholeFile,
  truncateFd,
  unmount,
} from "../os/mod.ts";
import {
  InflatePool,
  LayerReader,
  type SpanClass,
  SpanMap,
  SpanScheduler,
  type SpanSource,
} from "../spans/mod.ts";
import { logger } from "../telemetry/mod.ts";
import { decodeZtoc, type SpanTable, spanTable } from "../ztoc/mod.ts";
import { SlotTableStore } from "./slots.ts";

const log = logger("images");
const MAX_TREE_BYTES = 2 ** 31 - 1;

/** A layer that is being served. */
export interface OpenLayer {
  readonly slot: number;
  readonly layerDigest: string;
  /** Its root, read-only; may be a lower directory of overlay. */
  readonly directory: string;
  readonly reader: LayerReader;
  readonly spans: SpanTable;
  /** Bytes of the layer blob. */
  readonly compressedSize: number;
  readonly inodes: number;
  /** Which spans are here, one byte each. */
  readonly map: SpanMap;
}

interface Entry extends OpenLayer {
  readonly dataFd: number;
  readonly source: SpanSource;
  readonly stop: AbortController;
  uses: number;
}

/** How a store is opened. */
export interface LayerStoreOptions {
  /** Durable state: slots and layer caches. */
  readonly root: string;
  /** Empty folder for the FUSE mounts; short, because overlay options are bounded. */
  readonly mountDirectory: string;
}

/** What was fetched since the store was opened, compressed bytes. */
export interface FetchFigures {
  demandBytes: number;
  backgroundBytes: number;
  requests: number;
}

/**
 * All layers this process serves: their caches on disk, their place in the file system, the
 * readers that fill them. One process owns a store's root, held by a lock.
 */
export class LayerStore implements AsyncDisposable {
  readonly fetched: FetchFigures = {
    demandBytes: 0,
    backgroundBytes: 0,
    requests: 0,
  };
  readonly #layers = new Map<number, Entry>();
  readonly #bootId: string;
  readonly #scheduler = new SpanScheduler();

  /** Durable state: slots and layer caches. */
  readonly root: string;
  readonly #lock: Deno.FsFile;
  readonly #slots: SlotTableStore;
  readonly #files: LayerFileSystem;
  readonly #pool = new InflatePool();

  private constructor(
    root: string,
    owned: {
      lock: Deno.FsFile;
      slots: SlotTableStore;
      files: LayerFileSystem;
    },
  ) {
    this.root = root;
    this.#lock = owned.lock;
    this.#slots = owned.slots;
    this.#files = owned.files;
    this.#bootId = new TextDecoder().decode(
      readWholeFile("/proc/sys/kernel/random/boot_id", 4096),
    ).trim();
  }

  /** @throws OsError; Error when another process has the root. */
  static async open(options: LayerStoreOptions): Promise<LayerStore> {
    const { root, mountDirectory } = options;
    Deno.mkdirSync(`${root}/layers`, { recursive: true, mode: 0o700 });
    const lock = takeLock(`${root}/lock`);
    // Mounts of a process that died are dead for good: nobody answers them.
    for (const name of ["n", "x"]) detachStale(`${mountDirectory}/${name}`);
    Deno.mkdirSync(mountDirectory, { recursive: true, mode: 0o755 });
    const readError = (slot: number, offset: number, error: unknown) =>
      log.error("read failed", { slot, offset, error: String(error) });
    const files = await LayerFileSystem.start({
      layersDirectory: `${root}/layers`,
      mountDirectory,
      onReadError: readError,
    });
    const slots = new SlotTableStore(`${root}/slots.db`);
    return new LayerStore(root, { lock, slots, files });
  }

  /**
   * Serves a layer by a ztoc whose digest was checked; a layer that is served already is shared.
   * Each call is undone by one `release`. The store takes the source over (and disposes it).
   * @throws ZtocError, TreeCompileError, OsError
   */
  add(
    layerDigest: string,
    ztocBytes: Uint8Array<ArrayBuffer>,
    source: SpanSource,
  ): OpenLayer {
    const { slot } = this.#slots.assign(layerDigest, sha256(ztocBytes));
    const known = this.#layers.get(slot);
    if (known !== undefined) {
      known.uses++;
      disposeSource(source);
      return known;
    }
    const entry = this.#openEntry(slot, layerDigest, ztocBytes, source);
    this.#layers.set(slot, entry);
    return entry;
  }

  #openEntry(
    slot: number,
    layerDigest: string,
    ztocBytes: Uint8Array<ArrayBuffer>,
    source: SpanSource,
  ): Entry {
    const ztoc = decodeZtoc(ztocBytes);
    const spans = spanTable(ztoc);
    const folder = `${this.root}/layers/${slot}`;
    Deno.mkdirSync(folder, { recursive: true, mode: 0o700 });
    const tree = openTree(`${folder}/tree`) ?? writeTree(
      `${folder}/tree`,
      compileTree({
        entries: ztoc.entries,
        spanStarts: Float64Array.from(
          { length: spans.count },
          (_, span) => spans.start(span),
        ),
        dataSize: ztoc.uncompressedSize,
      }),
    );
    const { hasXattrs, inodes } = tree;
    saveWhole(`${folder}/ztoc`, ztocBytes);
    const dataFd = openFd(`${folder}/data`, O.RDWR | O.CREAT);
    try {
      const trusted = fileSize(dataFd) === ztoc.uncompressedSize &&
        ztoc.uncompressedSize > 0;
      truncateFd(dataFd, ztoc.uncompressedSize);
      const { directory, presence } = this.#files.add({
        slot,
        spanCount: spans.count,
        hasXattrs,
        dataFd,
        ensure: (offset, length, signal) =>
          entry.reader.ensure(offset, length, "demand", signal),
      });
      const map = SpanMap.open(`${folder}/spans`, presence, {
        bootId: this.#bootId,
        trusted,
      });
      const reader = new LayerReader({
        layerDigest,
        spans,
        compression: ztoc.compression,
        map,
        dataFd,
        source,
        scheduler: this.#scheduler,
        pool: this.#pool,
        onFetched: (bytes, cls) => this.#count(bytes, cls),
      });
      const entry: Entry = {
        slot,
        layerDigest,
        directory,
        reader,
        spans,
        compressedSize: ztoc.compressedSize,
        inodes,
        map,
        dataFd,
        source,
        stop: new AbortController(),
        uses: 1,
      };
      return entry;
    } catch (error) {
      this.#files.remove(slot);
      closeFd(dataFd);
      throw error;
    }
  }

  #count(bytes: number, cls: SpanClass): void {
    this.fetched.requests++;
    if (cls === "background") this.fetched.backgroundBytes += bytes;
    else this.fetched.demandBytes += bytes;
  }

  /**
   * Serves a layer again as it was served before, from what is on disk alone.
   * @returns null when nothing usable is on disk.
   */
  restore(
    layerDigest: string,
    makeSource: () => SpanSource,
  ): OpenLayer | null {
    for (const record of this.#slots.all()) {
      if (record.layerDigest !== layerDigest) continue;
      const bytes = readIfThere(`${this.root}/layers/${record.slot}/ztoc`);
      if (bytes === null || sha256(bytes) !== record.ztocDigest) continue;
      return this.add(layerDigest, bytes, makeSource());
    }
    return null;
  }

  /** The served layer of a slot. */
  get(slot: number): OpenLayer | undefined {
    return this.#layers.get(slot);
  }

  /** Every served layer. */
  all(): OpenLayer[] {
    return [...this.#layers.values()];
  }

  /** Fetches what is missing of a layer, behind everything else; ends with the layer. */
  async fill(layer: OpenLayer): Promise<void> {
    const entry = this.#layers.get(layer.slot);
    if (entry === undefined) return;
    await entry.reader.fill(entry.stop.signal);
    if (!entry.stop.signal.aborted) entry.map.sync(entry.dataFd);
  }

  /**
   * Ends one use of a layer. After the last one it is no longer served; its cache stays for the next
   * time, unless `discard`.
   */
  release(slot: number, options: { discard: boolean }): void {
    const entry = this.#layers.get(slot);
    if (entry === undefined || --entry.uses > 0) return;
    this.#close(entry);
    if (options.discard) {
      this.#slots.remove(slot);
      Deno.removeSync(`${this.root}/layers/${slot}`, { recursive: true });
    }
  }

  #close(entry: Entry): void {
    this.#layers.delete(entry.slot);
    entry.stop.abort();
    entry.reader.close();
    try {
      entry.map.sync(entry.dataFd);
    } catch (error) {
      // Unsynced marks are simply not trusted after a reboot.
      log.warn("cache could not be synced", {
        layer: entry.layerDigest,
        error: String(error),
      });
    }
    this.#files.remove(entry.slot); // takes the presence bytes back: after they were saved
    entry.map[Symbol.dispose]();
    closeFd(entry.dataFd);
    disposeSource(entry.source);
  }

  /** Stops serving and unmounts. Caches stay. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#files[Symbol.asyncDispose]();
    for (const entry of [...this.#layers.values()]) this.#close(entry);
    this.#pool[Symbol.dispose]();
    this.#slots[Symbol.dispose]();
    this.#lock.close();
  }
}

function disposeSource(source: SpanSource): void {
  if (Symbol.dispose in source) (source as Disposable)[Symbol.dispose]();
}

function takeLock(path: string): Deno.FsFile {
  const file = Deno.openSync(path, { write: true, create: true });
  if (!file.tryLockSync(true)) {
    file.close();
    throw new Error(
      `${path} is held by another soci-deno process; use another --root`,
    );
  }
  return file;
}

function detachStale(mountpoint: string): void {
  const stacked = listMounts().filter((entry) =>
    entry.mountpoint === mountpoint
  );
  for (const _ of stacked) {
    try {
      unmount(mountpoint);
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      log.warn("stale mount stays", { mountpoint, error: error.message });
    }
  }
}

function readIfThere(path: string): Uint8Array<ArrayBuffer> | null {
  try {
    return Deno.readFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

function openTree(path: string): LayerTree | null {
  try {
    return new LayerTree(readWholeFile(path, MAX_TREE_BYTES).slice());
  } catch (error) {
    // Missing, torn or of another version: it is made again from the ztoc.
    if (error instanceof TreeFormatError || error instanceof OsError) {
      return null;
    }
    throw error;
  }
}

/** Writes a file that is either whole or not there. */
function saveWhole(path: string, bytes: Uint8Array): void {
  const draft = `${path}.new`;
  Deno.writeFileSync(draft, bytes, { mode: 0o600 });
  Deno.renameSync(draft, path);
}

function writeTree(path: string, bytes: Uint8Array<ArrayBuffer>): LayerTree {
  saveWhole(path, bytes);
  return new LayerTree(bytes);
}
