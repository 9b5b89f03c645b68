import { forgetCachedBytes } from "../../host/fuse/mod.ts";
import { readWholeFile } from "../../host/os/mod.ts";
import { MountHelper } from "../../host/mounting/mod.ts";
import {
  ErofsFace,
  ExactReads,
  type Face,
  type LayerImage,
  type ShownLayer,
} from "../faces/mod.ts";
import type { RangeTable } from "../presence/mod.ts";
import { dataBytes, LayerTree, MAX_TREE_BYTES, S } from "../tree/mod.ts";
import { DeferredReads } from "./deferred_reads.ts";
import { FailedReads } from "./failed_reads.ts";
import type { ServedMount } from "./fuse_mount.ts";
import { BLOB_MOUNT, FuseMounts, MOUNT_NAMES } from "./mounts.ts";
import {
  ReadRecorder,
  type ReadRecording,
  type RecordOptions,
} from "./read_recorder.ts";
import { SharedMemory } from "./shared/mod.ts";

/** A layer as the file system sees it. */
export interface ServedLayer {
  /** Names its directory and, for good, its inodes. */
  readonly slot: number;
  /** Spans of its data. */
  readonly spanCount: number;
  /** Whether any entry has extended attributes: decides on which mount it is shown. */
  readonly hasXattrs: boolean;
  /** Whether `<slot>/data` has all of it and stays: the kernel may read it itself. Default: not. */
  readonly isWhole?: boolean;
  /** Resolves when `<slot>/tree` is in place. If it is not given, the file is in place already. */
  readonly saved?: Promise<void>;
  /** Resolves when the bytes are here; rejects when they cannot be fetched. */
  ensure(offset: number, length: number, signal: AbortSignal): Promise<void>;
  /** Copies bytes that are here; false when some were evicted again. */
  copy(offset: number, into: Uint8Array<ArrayBuffer>): boolean;
}

/** What the file system needs of a layer's tree, where its image is made already. */
export interface ShownTree {
  /** How many spans the layer has. */
  readonly spans: number;
  /** Data offset of each span, then the data's size. */
  readonly spanStarts: Float64Array;
  /** What became of its image; null where none was wanted (`wantsImage`). */
  readonly image: LayerImage | null;
}

/** How the file system is started. */
export interface LayerFileSystemOptions {
  /** Folder that holds `<slot>/tree` and `<slot>/data`. */
  readonly layersDirectory: string;
  /** Empty folder for the mountpoints. */
  readonly mountDirectory: string;
  /** How layers are shown; default `fuse`. */
  readonly face?: Face;
  /** Whether the log tells of every request of the kernel; default: it does not. */
  readonly tellsRequests?: boolean | undefined;
  /** Starts the process that makes EROFS mounts, see `MountHelper`; by default a thread makes them. */
  readonly mountHelper?: readonly string[];
  /** Called when a layer has to be shown by the FUSE tree after all. */
  readonly onFallback?: (slot: number, reason: string) => void;
  /** Called when a read fails for good. */
  readonly onReadError?: (slot: number, offset: number, error: unknown) => void;
  /** Called for an internal error that a reader of a mount met; serving continues. */
  readonly onFault?: (mountpoint: string, detail: string) => void;
  /** Mounts of an ended process, to be served instead of making new ones. */
  readonly taken?: readonly ServedMount[];
  /** Workers that answer on each mount; default `WORKERS_PER_MOUNT`. */
  readonly workersPerMount?: number;
}

/** The most layers served at once, and the most spans of all of them. Unused entries take no memory. */
const MAX_LAYERS = 32_768;
const MAX_SPANS = 16 * 2 ** 20;
/** The most ranges of all layers that come ahead of their spans. */
const MAX_RANGES = 2 * 2 ** 20;
const RING_ITEMS = 4096;
/**
 * Two Workers, so that one can copy a megabyte while the other answers small requests. A Worker
 * costs about 14 MiB. On two cores, which the readers need too, a third Worker gains nothing
 * (docs/performance.md).
 */
const WORKERS_PER_MOUNT = navigator.hardwareConcurrency > 2 ? 2 : 1;

/** A layer's bytes in the memory that the FUSE Workers share. Disposal releases them. */
export interface LayerMarks extends Disposable {
  /** Their offset in that memory. */
  readonly arena: number;
  /**
   * One per span: 0 missing, 1 present, anything else present but the reader must ask. The caller that
   * reserved them keeps them up to date.
   */
  readonly presence: Uint8Array;
  /** One per span, set by every read; the caller that reserved them may clear them. */
  readonly uses: Uint8Array;
  /** Bytes that were read of each span, about; the caller that reserved them may clear and add. */
  readonly reads: Uint32Array;
}

/** A layer's part of the range tables. Disposal releases it. */
export interface LayerRangeTable extends Disposable {
  /** Its columns are zero, and to be filled before it is shown. */
  readonly table: RangeTable;
  /** Where it begins in the memory of all. */
  readonly offset: number;
}

interface Served {
  readonly layer: ServedLayer;
  readonly failed: FailedReads;
  readonly marks: LayerMarks;
  readonly dataBytes: number;
}

/**
 * All served layers as directories of two FUSE mounts: `x` for layers with extended attributes, `n`
 * for those without. On `n` the kernel is told once that there are none: a request per file would
 * cost more than all other metadata together.
 *
 * First `open` mounts (or takes over a predecessor's mounts), then layers are added, then `serve`
 * starts to answer the kernel. Until then every access to the mounts waits, so nobody sees that a
 * predecessor's layer is not restored yet. Disposal unmounts, unless `detach` was called.
 */
export class LayerFileSystem implements AsyncDisposable {
  readonly #options: LayerFileSystemOptions;
  readonly #shared: SharedMemory;
  readonly #layers = new Map<number, Served>();
  readonly #directBlobs: boolean;
  readonly #helper: MountHelper;
  readonly #erofs: ErofsFace;
  readonly #mounts: FuseMounts;
  readonly #reads: DeferredReads;
  readonly #recorder: ReadRecorder;
  readonly #exact: ExactReads;
  #readsDone: Promise<void> = Promise.resolve();

  private constructor(options: LayerFileSystemOptions) {
    this.#options = options;
    const workersPerMount = options.workersPerMount ?? WORKERS_PER_MOUNT;
    this.#shared = new SharedMemory({
      layers: MAX_LAYERS,
      spans: MAX_SPANS,
      ranges: MAX_RANGES,
      ringItems: RING_ITEMS,
      workers: workersPerMount * MOUNT_NAMES.length,
    });
    const { layersDirectory, mountDirectory } = options;
    this.#helper = new MountHelper(options.mountHelper ?? null);
    this.#directBlobs = options.face === "erofs";
    this.#erofs = new ErofsFace({
      layersDirectory,
      mountDirectory,
      blobMount: `${mountDirectory}/${BLOB_MOUNT}`,
      helper: this.#helper,
      adopt: options.taken !== undefined,
      face: options.face ?? "fuse",
      onFallback: options.onFallback ?? (() => {}),
    });
    this.#mounts = new FuseMounts({
      layersDirectory,
      mountDirectory,
      shared: this.#shared,
      directBlobs: this.#directBlobs,
      workersPerMount,
      tellsRequests: options.tellsRequests ?? false,
      taken: options.taken ?? [],
      onFault: options.onFault ?? (() => {}),
    });
    const mountpoints = MOUNT_NAMES.map((name) => `${mountDirectory}/${name}`);
    this.#exact = new ExactReads(this.#erofs.readAhead, mountpoints);
    this.#recorder = new ReadRecorder(this.#shared, {
      readExactly: (slots) => this.#exact.set(slots),
      dataBytes: (slot) => this.#layers.get(slot)?.dataBytes ?? 0,
    });
    this.#reads = new DeferredReads({
      ring: this.#shared.ring,
      layerOf: (slot) => this.#layers.get(slot),
      descriptorOf: (mount) => this.#mounts.descriptor(mount),
      onReadError: options.onReadError ?? (() => {}),
      onWaited: this.#recorder.waited,
    });
  }

  /** Mounts and starts serving. @throws OsError */
  static async start(
    options: LayerFileSystemOptions,
  ): Promise<LayerFileSystem> {
    const system = await LayerFileSystem.open(options);
    try {
      await system.serve();
    } catch (error) {
      await system[Symbol.asyncDispose]();
      throw error;
    }
    return system;
  }

  /** Mounts, or takes over, but answers nothing yet. @throws OsError */
  static async open(
    options: LayerFileSystemOptions,
  ): Promise<LayerFileSystem> {
    const system = new LayerFileSystem(options);
    try {
      await system.#mounts.open();
    } catch (error) {
      await system[Symbol.asyncDispose]();
      throw error;
    }
    return system;
  }

  /** Starts answering; resolves when both mounts are served. @throws OsError */
  async serve(): Promise<void> {
    this.#readsDone = this.#reads.run();
    await this.#mounts.serve();
    if (this.#options.taken !== undefined) this.#exact.repair();
    this.#erofs.start();
    await this.#erofs.settled(); // layers that were added before are in place from now on
  }

  /** Whether the kernel is being answered. */
  get serving(): boolean {
    return this.#mounts.state !== "silent";
  }

  /** Resolves when no mount of a layer is in progress. */
  settled(): Promise<void> {
    return this.#erofs.settled();
  }

  /** The mounts, and what another process needs to serve them. Call it only while they are served. */
  mounts(): Promise<ServedMount[]> {
    return this.#mounts.all();
  }

  /**
   * Leaves the mounts to a successor. The Workers answer what they can until this process ends; all
   * other requests stay unanswered, and the kernel resends them to the successor. Layers stay listed.
   */
  detach(): void {
    this.#recorder[Symbol.dispose]();
    this.#mounts.leave();
    this.#erofs.leave();
    this.#reads.stop();
  }

  /** Whether the mounts are left to a successor. */
  get detached(): boolean {
    return this.#mounts.state === "left" || this.#mounts.state === "retired";
  }

  /**
   * No successor came for the mounts that were left: ends the Workers, so that this process can serve the
   * mounts anew.
   * @returns the mounts; their descriptors are the caller's from now on.
   */
  retire(): Promise<ServedMount[]> {
    return this.#mounts.retire();
  }

  /** Reserves memory for the marks of a layer that will be added; all its spans are missing. */
  reserve(spanCount: number): LayerMarks {
    const arena = this.#shared.arena.allocate(spanCount + 1);
    const reads = this.#shared.reads.subarray(arena, arena + spanCount);
    reads.fill(0);
    let isHeld = true;
    return {
      arena,
      presence: this.#shared.arena.bytes.subarray(arena, arena + spanCount),
      uses: this.#shared.uses.subarray(arena, arena + spanCount),
      reads,
      [Symbol.dispose]: () => {
        if (isHeld) this.#shared.arena.release(arena, spanCount + 1);
        isHeld = false;
      },
    };
  }

  /** Reserves memory for the ranges of a layer. @throws RangeError when there is no room. */
  reserveRanges(count: number): LayerRangeTable {
    const { rangeArena, ranges } = this.#shared;
    const offset = rangeArena.allocate(count);
    let isHeld = true;
    return {
      offset,
      table: ranges.part(offset, count),
      [Symbol.dispose]: () => {
        if (isHeld) rangeArena.release(offset, count);
        isHeld = false;
      },
    };
  }

  /** Shows the ranges of a served layer to its readers. They stay until the layer is removed. */
  showRanges(slot: number, { offset, table }: LayerRangeTable): void {
    this.#shared.slots.setRanges(slot, offset, table.columns.states.length);
  }

  /** Whether a layer that will be added needs its EROFS image. */
  wantsImage(slot: number): boolean {
    return this.#erofs.wantsImage(slot);
  }

  /**
   * Shows a layer. `<slot>/data` must be in place, and `<slot>/tree` (which is `tree`) once it is saved.
   * @param tree the whole, or what is needed of it.
   * @param marks reserved for it; `remove` gives them back.
   * @returns its directory, to be used once `shown`, and its marks.
   * @throws RangeError when there is no room for another layer, OsError; then nothing is shown.
   */
  add(
    layer: ServedLayer,
    tree: LayerTree | ShownTree,
    marks: LayerMarks = this.reserve(layer.spanCount),
  ): ShownLayer & Pick<LayerMarks, "presence" | "uses"> {
    const { slot } = layer;
    if (this.#layers.has(slot)) throw new Error(`slot ${slot} is served`);
    const { arena, presence, uses } = marks;
    this.#shared.starts.write(arena, tree.spanStarts);
    this.#shared.slots.add(slot, arena, layer.spanCount);
    this.#layers.set(slot, {
      layer,
      marks,
      dataBytes: dataBytes(tree),
      failed: new FailedReads(),
    });
    try {
      const image = tree instanceof LayerTree ? tree : tree.image;
      const place = this.#erofs.show(slot, image, {
        directory: this.directory(layer),
        ready: layer.saved ?? Promise.resolve(),
      }, layer.isWhole === true ? "data file" : "blob");
      return { ...place, presence, uses };
    } catch (error) {
      this.remove(slot);
      throw error;
    }
  }

  /** Starts the mount helper early, because layers will be added soon. */
  expectLayers(): void {
    if (this.#options.face === "erofs") this.#helper.wake();
  }

  /** Where the FUSE tree shows a layer. */
  directory({ slot, hasXattrs }: { slot: number; hasXattrs: boolean }): string {
    const mount = this.#mountOf({ hasXattrs });
    return `${this.#options.mountDirectory}/${mount}/${slot}`;
  }

  #mountOf({ hasXattrs }: { hasXattrs: boolean }): "n" | "x" {
    // Not on `n` if EROFS opens blobs there: then every open of a file there would cost a request.
    return hasXattrs || this.#directBlobs ? "x" : "n";
  }

  /**
   * Call it after presence bytes of a layer were cleared and before the bytes of those spans are
   * destroyed. Resolves when no Worker that saw them present is still copying.
   */
  spansGone(slot: number): Promise<void> {
    this.#shared.slots.spansGone(slot);
    return this.#shared.readers.left();
  }

  /** A start pack brings bytes of a layer, or no longer: missing bytes that the kernel reads ahead are not in it. */
  packHere(slot: number, pack: "here" | "not here"): void {
    this.#erofs.readAhead.setPack(slot, pack);
  }

  /**
   * Has the kernel forget bytes of a layer that it may have cached, for containers that start from now on. What
   * runs on an EROFS mount keeps that mount and what is cached of it.
   * @param isWrong whether bytes [from, to) of the data may be others than the layer's.
   */
  async showAnew(
    slot: number,
    isWrong: (from: number, to: number) => boolean,
  ): Promise<void> {
    const known = this.#layers.get(slot);
    if (known === undefined || this.detached) return;
    if (await this.#erofs.showAnew(slot)) return;
    const path = `${this.#options.layersDirectory}/${slot}/tree`;
    const tree = new LayerTree(readWholeFile(path, MAX_TREE_BYTES).slice());
    const mount = this.#mountOf(known.layer);
    const fd = this.#mounts.descriptor(MOUNT_NAMES.indexOf(mount));
    if (fd === undefined) return;
    for (let inode = 0; inode < tree.inodes; inode++) {
      if (((tree.mode[inode] as number) & S.IFMT) !== S.IFREG) continue;
      const from = tree.dataOffset[inode] as number;
      if (!isWrong(from, from + (tree.size[inode] as number))) continue;
      await forgetCachedBytes(fd, { hi: slot, lo: inode + 1 });
    }
  }

  /** A layer is complete in its data file now, or no longer. */
  spansHere(slot: number, all: "here" | "not here"): void {
    this.#erofs.readAhead.set(slot, all);
  }

  /**
   * Records reads of layers that are served. What the kernel has in its page cache is not read again, and
   * so not seen. Ends with the file system, or when it is left to a successor.
   */
  record(slots: ReadonlySet<number>, options: RecordOptions): ReadRecording {
    return this.#recorder.begin(slots, options);
  }

  /** Unmounts what the last process left of layers that were not added again. */
  sweep(): void {
    this.#erofs.sweep(new Set(this.#layers.keys()));
  }

  /** Stops showing a layer. Its readers get ESTALE. */
  remove(slot: number): void {
    const known = this.#layers.get(slot);
    if (known === undefined) return;
    this.#erofs.hide(slot);
    this.#recorder.forget(slot);
    this.#shared.slots.remove(slot);
    known.marks[Symbol.dispose]();
    this.#layers.delete(slot);
  }

  /**
   * Unmounts and waits for the Workers; after `detach`, does nothing. Mounts that were taken over and not
   * served yet stay, too: a start that failed may be tried again, or their last process goes on with them.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.detached) this.#recorder[Symbol.dispose]();
    if (
      this.#options.taken !== undefined && this.#mounts.state === "silent"
    ) this.detach();
    if (this.detached) {
      await this.#helper[Symbol.asyncDispose]();
      return await this.#readsDone;
    }
    if (this.#mounts.state === "closed") return;
    // While their FUSE mount is still served. If it never was, no EROFS mount was requested.
    await this.#erofs.close();
    await this.#helper[Symbol.asyncDispose]();
    this.#reads.abandon();
    await this.#mounts[Symbol.asyncDispose]();
    await this.#readsDone;
  }
}
