import { abortConnection } from "../fuse/mod.ts";
import type { MountKeeper } from "../handover/mod.ts";
import { LayerFileSystem, LayerTree } from "../layerfs/mod.ts";
import {
  compileTree,
  MOUNT_NAMES,
  type ServedMount,
  TREE_VERSION,
  treeFileVersion,
  TreeFormatError,
} from "../layerfs/mod.ts";
import { sha256 } from "../oci/mod.ts";
import {
  bootId,
  closeFd,
  fileSize,
  listMounts,
  O,
  openFd,
  OsError,
  readWholeFile,
  syncWhole,
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
import { StateVersionError } from "./errors.ts";
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
  /** Lets the mounts outlive this process, and takes those of the last one. Default: neither. */
  readonly keeper?: MountKeeper;
  /** How long a read waits for bytes that do not come before it fails, ms. Default 30 000. */
  readonly readWaitMs?: number;
}

/** A read waited as long as a read may. */
export class ReadTimeoutError extends Error {
  override readonly name = "ReadTimeoutError";
  constructor(readonly layerDigest: string, readonly waitMs: number) {
    super(`layer ${layerDigest}: no data within ${waitMs} ms`);
  }
}

const DEFAULT_READ_WAIT_MS = 30_000;

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
  readonly #bootId = bootId();
  readonly #keeper: MountKeeper | undefined;
  readonly #readWaitMs: number;
  readonly #scheduler = new SpanScheduler();

  /** Durable state: slots and layer caches. */
  readonly root: string;
  readonly #lock: Deno.FsFile;
  readonly #slots: SlotTableStore;
  readonly #files: LayerFileSystem;
  readonly #pool = new InflatePool();

  private constructor(
    options: LayerStoreOptions,
    owned: {
      lock: Deno.FsFile;
      slots: SlotTableStore;
      files: LayerFileSystem;
    },
  ) {
    this.root = options.root;
    this.#keeper = options.keeper;
    this.#readWaitMs = options.readWaitMs ?? DEFAULT_READ_WAIT_MS;
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
   * @throws OsError, StateVersionError; Error when another process has the root.
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
      Deno.mkdirSync(mountDirectory, { recursive: true, mode: 0o755 });
      const files = await LayerFileSystem.open({
        layersDirectory: `${root}/layers`,
        mountDirectory,
        onReadError: (slot, offset, error) =>
          log.error("read failed", { slot, offset, error: String(error) }),
        ...(taken !== null && { taken }),
      });
      return new LayerStore(options, { lock, slots, files });
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

  /** Starts answering reads. With a keeper, the mounts outlive this process from here on. */
  async serve(): Promise<void> {
    await this.#files.serve();
    this.#keeper?.keep(await this.#files.mounts());
  }

  /**
   * Leaves mounts and layers to the next process: disposing of the store then saves and closes
   * everything but unmounts nothing. Until this process ends, reads of what is here are answered
   * still, others wait for the successor. Only with a keeper.
   */
  async leave(): Promise<void> {
    this.#keeper?.keep(await this.#files.mounts());
    this.#files.detach();
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
    if (!holds(`${folder}/ztoc`, ztocBytes)) {
      saveWhole(`${folder}/ztoc`, ztocBytes);
    }
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
          this.#ensure(entry, offset, length, signal),
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

  /** What waits for a registry that is gone fails in the end; the next read asks again. */
  async #ensure(
    { reader, layerDigest }: Entry,
    offset: number,
    length: number,
    signal: AbortSignal,
  ): Promise<void> {
    const late = new AbortController();
    const timer = setTimeout(
      () => late.abort(new ReadTimeoutError(layerDigest, this.#readWaitMs)),
      this.#readWaitMs,
    );
    try {
      const either = AbortSignal.any([signal, late.signal]);
      await reader.ensure(offset, length, "demand", either);
    } finally {
      clearTimeout(timer);
    }
  }

  #count(bytes: number, cls: SpanClass): void {
    this.fetched.requests++;
    if (cls === "background") this.fetched.backgroundBytes += bytes;
    else this.fetched.demandBytes += bytes;
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

  /**
   * Forgets every layer that is neither served nor in use: their slots, caches and half-made files.
   * For a daemon that has restored all it knows: what is left is what a crash left over.
   * @param inUse directories of layers that are to be kept though they could not be restored.
   */
  sweep(inUse: readonly string[]): void {
    const wanted = new Set(inUse.map(slotOf));
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
    // Takes the presence bytes back: after they were saved. A successor's layers stay listed.
    if (!this.#files.detached) this.#files.remove(entry.slot);
    entry.map[Symbol.dispose]();
    closeFd(entry.dataFd);
    disposeSource(entry.source);
  }

  /** Stops serving and unmounts (or not, after `leave`). Caches stay. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#files[Symbol.asyncDispose]();
    if (!this.#files.detached) this.#keeper?.release();
    for (const entry of [...this.#layers.values()]) this.#close(entry);
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

/** The last process's mounts; null when there are none that can be served on. */
function takeMounts(
  { keeper, root }: LayerStoreOptions,
  slots: SlotTableStore,
): readonly ServedMount[] | null {
  if (keeper === undefined) return null;
  const result = keeper.take(MOUNT_NAMES);
  if (result.kind === "taken") {
    const foreign = foreignTree(root, slots);
    if (foreign === null) {
      log.info("mounts taken over", {
        mounts: result.mounts.map(({ mountpoint }) => mountpoint),
      });
      return result.mounts;
    }
    for (const { fd } of result.mounts) closeFd(fd);
    log.warn("mounts cannot be taken over, mounting anew", { why: foreign });
  } else if (result.kind === "lost") {
    log.warn("mounts cannot be taken over, mounting anew", { why: result.why });
  }
  keeper.release();
  return null;
}

/**
 * The kernel knows files by their numbers in trees of this version. A tree of another version would
 * be made again with other numbers: fine for new mounts, wrong files in old ones.
 */
function foreignTree(root: string, slots: SlotTableStore): string | null {
  for (const { slot } of slots.all()) {
    const version = treeFileVersion(`${root}/layers/${slot}/tree`);
    if (version !== null && version !== TREE_VERSION) {
      return `the tree of slot ${slot} has version ${version}, this release knows ${TREE_VERSION}`;
    }
  }
  return null;
}

function namesIn(folder: string): string[] {
  try {
    return [...Deno.readDirSync(folder)].map(({ name }) => name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** Detaches every mount in a folder, the last made first; whoever waits on one gets an error. */
function detachBelow(folder: string): void {
  const stale = listMounts().map(({ mountpoint }) => mountpoint)
    .filter((mountpoint) => mountpoint.startsWith(`${folder}/`)).reverse();
  for (const mountpoint of stale) {
    abortConnection(mountpoint); // others may hold its descriptor
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

function holds(path: string, bytes: Uint8Array): boolean {
  const found = readIfThere(path);
  return found !== null && found.length === bytes.length &&
    found.every((byte, i) => byte === bytes[i]);
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

/** Writes a file that is either whole or not there, also when the machine stops. */
function saveWhole(path: string, bytes: Uint8Array): void {
  const draft = `${path}.new`;
  Deno.writeFileSync(draft, bytes, { mode: 0o600 });
  syncWhole(draft);
  Deno.renameSync(draft, path);
}

function writeTree(path: string, bytes: Uint8Array<ArrayBuffer>): LayerTree {
  saveWhole(path, bytes);
  return new LayerTree(bytes);
}
