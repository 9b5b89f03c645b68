import {
  DeferredReplies,
  INTERRUPT_BIT,
  mountFuse,
  type Negotiated,
  requestResend,
} from "../../host/fuse/mod.ts";
import { closeFd, ERRNO, isBeingKilled, OsError } from "../../host/os/mod.ts";
import { MountHelper, unmount } from "../../host/mounting/mod.ts";
import { dataBytes } from "../tree/mod.ts";
import { ErofsFace, type ShownLayer } from "../faces/mod.ts";
import type { Face } from "../faces/mod.ts";
import { FailedReads, WaitingThread } from "./failed_reads.ts";
import {
  PresenceArena,
  ReadersAtWork,
  RequestRing,
  RING_INTERRUPT,
  RingItem,
  SlotTable,
  SpanStarts,
} from "./shared.ts";
import type { LayerTree } from "../tree/mod.ts";
import { MountWorker } from "./mount_worker.ts";
import type { FuseWorkerEvent, FuseWorkerStart } from "./worker.ts";

/** A layer as the file system sees it. */
export interface ServedLayer {
  readonly slot: number;
  readonly spanCount: number;
  /** Whether any entry has extended attributes: decides on which mount it is shown. */
  readonly hasXattrs: boolean;
  /** Resolves when `<slot>/tree` is in place; it is when nothing is said. */
  readonly saved?: Promise<void>;
  /** Resolves when the bytes are here; rejects when they cannot be had. */
  ensure(offset: number, length: number, signal: AbortSignal): Promise<void>;
  /** Copies bytes that are here; false when some are gone again. */
  copy(offset: number, into: Uint8Array<ArrayBuffer>): boolean;
}

/** How the file system is started. */
export interface LayerFileSystemOptions {
  /** Folder that holds `<slot>/tree` and `<slot>/data`. */
  readonly layersDirectory: string;
  /** Empty folder for the mountpoints. */
  readonly mountDirectory: string;
  /** How layers are shown; `fuse` when not said. */
  readonly face?: Face;
  /** Starts the process that makes EROFS mounts, see `MountHelper`; a thread makes them when not said. */
  readonly mountHelper?: readonly string[];
  /** Told when a layer has to be shown by the FUSE tree all the same. */
  readonly onFallback?: (slot: number, reason: string) => void;
  /** Told when a read fails for good. */
  readonly onReadError?: (slot: number, offset: number, error: unknown) => void;
  /** Told of faults of ours that readers of a mount met; it is served on. */
  readonly onFault?: (mountpoint: string, detail: string) => void;
  /** Mounts of a process that is gone, by name, to be served on instead of new ones. */
  readonly taken?: readonly ServedMount[];
  /** Workers that answer on each mount; default `WORKERS_PER_MOUNT`. */
  readonly workersPerMount?: number;
}

/** Names of the mounts: for layers without extended attributes, and for those with. */
export const MOUNT_NAMES = ["n", "x"] as const;

/** The mount whose blobs EROFS reads. */
const BLOB_MOUNT = "n";

/** One of the file system's mounts. */
export interface ServedMount {
  readonly name: string;
  readonly mountpoint: string;
  readonly fd: number;
  readonly negotiated: Negotiated;
}

const MAX_LAYERS = 32_768;
const ARENA_BYTES = 16 * 2 ** 20;
const RING_ITEMS = 4096;
/** How long to wait before a Worker that broke down is replaced, ms: at first, at most. */
const FIRST_REVIVAL_MS = 50;
const LAST_REVIVAL_MS = 5_000;
/**
 * Two: one copies a megabyte while the other answers small questions. A Worker costs about 14 MiB,
 * and on two cores, which readers need as well, a third gains nothing (docs/performance.md).
 */
const WORKERS_PER_MOUNT = navigator.hardwareConcurrency > 2 ? 2 : 1;
/** How soon the kernel shall ask again about a request that has not reached us. */
const INTERRUPT_AGAIN_MS = 5;

/** How soon a killed reader is let go, ms. */
const KILL_POLL_MS = 50;

interface WaitingRead {
  readonly cancel: AbortController;
  readonly thread: number;
}

/** A layer's bytes in the memory that the FUSE Workers share. Given back once, when disposed of. */
export interface LayerMarks extends Disposable {
  /** Where they are in that memory. */
  readonly arena: number;
  /**
   * One a span: 0 missing, 1 present, anything else present but to be asked for. Kept up to date by
   * whoever reserved them.
   */
  readonly presence: Uint8Array;
  /** One a span, set by every read; whoever reserved them may clear them. */
  readonly uses: Uint8Array;
}

interface Served {
  readonly layer: ServedLayer;
  readonly failed: FailedReads;
  readonly marks: LayerMarks;
  readonly dataBytes: number;
}

interface Mount {
  readonly name: string;
  readonly mountpoint: string;
  readonly fd: number;
  /** All on one descriptor: the kernel gives each request to one of them. */
  readonly workers: readonly MountWorker[];
  readonly loaded: Promise<void>;
  readonly serving: Promise<void>;
  readonly stopped: Promise<void>;
  /** What a predecessor negotiated; null for a new mount, where the kernel asks us. */
  readonly taken: Negotiated | null;
  readonly negotiated: Promise<Negotiated>;
}

/**
 * All served layers as directories of two FUSE mounts: `x` for layers with extended attributes and
 * `n` for those without, where the kernel is told once that there are none (asking for each file
 * costs more than all other metadata together).
 *
 * `open` mounts (or takes what a predecessor mounted), then layers are added, then `serve` answers
 * the kernel. Until then whoever touches the mounts waits, and nobody learns that a layer of a
 * predecessor is not there yet. Unmounted at the end, unless `detach` was called.
 */
export class LayerFileSystem implements AsyncDisposable {
  readonly #options: LayerFileSystemOptions;
  readonly #slots = new SlotTable(SlotTable.allocate(MAX_LAYERS));
  readonly #arena = new PresenceArena(new SharedArrayBuffer(ARENA_BYTES));
  readonly #starts = new SpanStarts(SpanStarts.allocate(ARENA_BYTES));
  readonly #uses = new Uint8Array(new SharedArrayBuffer(ARENA_BYTES));
  readonly #ring = new RequestRing(RequestRing.allocate(RING_ITEMS));
  readonly #layers = new Map<number, Served>();
  readonly #readers: ReadersAtWork;
  readonly #workersPerMount: number;
  readonly #replies = new DeferredReplies();
  /** Reads that wait for bytes, by mount and unique. */
  readonly #waiting = new Map<string, WaitingRead>();
  readonly #directBlobs: boolean;
  readonly #helper: MountHelper;
  readonly #erofs: ErofsFace;
  #mounts: Mount[] = [];
  #closed = false;
  #serving = false;
  #detached = false;
  #drained: Promise<void> = Promise.resolve();

  private constructor(options: LayerFileSystemOptions) {
    this.#options = options;
    this.#workersPerMount = options.workersPerMount ?? WORKERS_PER_MOUNT;
    this.#readers = new ReadersAtWork(
      ReadersAtWork.allocate(this.#workersPerMount * MOUNT_NAMES.length),
    );
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

  /** Mounts, or takes over, and answers nothing yet. @throws OsError */
  static async open(
    options: LayerFileSystemOptions,
  ): Promise<LayerFileSystem> {
    const system = new LayerFileSystem(options);
    try {
      for (const name of MOUNT_NAMES) system.#mounts.push(system.#mount(name));
      await Promise.all(system.#mounts.map(({ loaded }) => loaded));
    } catch (error) {
      await system[Symbol.asyncDispose]();
      throw error;
    }
    return system;
  }

  /** Starts answering; resolves when both mounts are served. @throws OsError */
  async serve(): Promise<void> {
    this.#serving = true;
    this.#drained = this.#drain();
    for (const mount of this.#mounts) {
      // Before anything is read here: what was asked twice would be answered twice.
      if (mount.taken !== null) requestResend(mount.fd);
      for (const worker of mount.workers) this.#postStart(mount, worker);
    }
    for (const mount of this.#mounts) {
      await mount.serving;
      if (mount.taken !== null) continue;
      await mount.negotiated;
    }
    this.#erofs.start();
    await this.#erofs.settled(); // layers added before are in place from here on
  }

  /** Whether the kernel is answered. */
  get serving(): boolean {
    return this.#serving;
  }

  /** Resolves when no mount of a layer is under way. */
  settled(): Promise<void> {
    return this.#erofs.settled();
  }

  #postStart(mount: Mount, worker: MountWorker): void {
    worker.post(
      {
        fd: mount.fd,
        mount: this.#mounts.indexOf(mount),
        xattrs: mount.name === "x",
        directBlobs: this.#directBlobs && mount.name === BLOB_MOUNT,
        layersDirectory: this.#options.layersDirectory,
        slots: this.#slots.memory,
        presence: this.#arena.memory,
        starts: this.#starts.memory,
        uses: this.#uses.buffer as SharedArrayBuffer,
        ring: this.#ring.memory,
        readers: this.#readers.memory,
        worker: this.#numberOf(mount, worker),
      } satisfies FuseWorkerStart,
    );
  }

  /** The mounts with what another process needs to serve them. Only while they are served. */
  mounts(): Promise<ServedMount[]> {
    return Promise.all(
      this.#mounts.map(async ({ name, mountpoint, fd, negotiated }) => ({
        name,
        mountpoint,
        fd,
        negotiated: await negotiated,
      })),
    );
  }

  /**
   * Leaves the mounts to a successor. The Workers answer what they can until this process ends;
   * what they cannot stays unanswered, and is asked again there. Layers stay listed.
   */
  detach(): void {
    this.#detached = true;
    this.#closed = true;
    this.#erofs.leave();
    this.#ring.wake();
  }

  /** Whether the mounts are left to a successor. */
  get detached(): boolean {
    return this.#detached;
  }

  #mount(name: string): Mount {
    const taken = this.#options.taken?.find((mount) => mount.name === name) ??
      null;
    const mountpoint = taken?.mountpoint ??
      `${this.#options.mountDirectory}/${name}`;
    let fd = taken?.fd;
    if (fd === undefined) {
      Deno.mkdirSync(mountpoint, { recursive: true, mode: 0o755 });
      fd = mountFuse({ mountpoint, source: "soci-deno" });
    }
    const negotiated = Promise.withResolvers<Negotiated>();
    negotiated.promise.catch(() => {}); // whoever waits for it sees the failure
    if (taken !== null) negotiated.resolve(taken.negotiated);
    const workers = Array.from(
      { length: this.#workersPerMount },
      () => new MountWorker(),
    );
    const mount: Mount = {
      name,
      mountpoint,
      fd,
      workers,
      loaded: all(workers.map(({ loaded }) => loaded.promise)),
      serving: all(workers.map(({ serving }) => serving.promise)),
      stopped: all(workers.map(({ stopped }) => stopped.promise)),
      taken: taken?.negotiated ?? null,
      negotiated: negotiated.promise,
    };
    for (const worker of workers) {
      worker.start((event) => this.#onEvent(mount, worker, negotiated, event));
    }
    return mount;
  }

  #onEvent(
    mount: Mount,
    worker: MountWorker,
    negotiated: PromiseWithResolvers<Negotiated>,
    event: FuseWorkerEvent,
  ): void {
    switch (event.kind) {
      case "loaded":
        return worker.breakdowns > 0
          ? this.#goOn(mount, worker)
          : worker.loaded.resolve();
      case "serving":
        return worker.serving.resolve();
      case "negotiated": // the kernel's INIT reaches one Worker of a mount
        return negotiated.resolve(event.negotiated);
      case "fault":
        return this.#options.onFault?.(mount.mountpoint, event.error);
      case "stopped": {
        if (event.error !== null && this.#serving && !this.#closed) {
          return this.#revive(mount, worker, event.error);
        }
        const failure = new Error(event.error ?? `${mount.name} was unmounted`);
        for (const { reject } of [worker.loaded, worker.serving, negotiated]) {
          reject(failure);
        }
        worker.stopped.resolve();
      }
    }
  }

  /** Another Worker takes the place of one that broke down; its readers wait meanwhile. */
  #revive(mount: Mount, worker: MountWorker, why: string): void {
    this.#options.onFault?.(mount.mountpoint, `Worker broke down: ${why}`);
    const waitMs = FIRST_REVIVAL_MS * 2 ** Math.min(worker.breakdowns++, 20);
    setTimeout(() => {
      if (this.#closed) return;
      worker.terminate();
      this.#readers.abandon(this.#numberOf(mount, worker));
      worker.restart();
    }, Math.min(waitMs, LAST_REVIVAL_MS));
  }

  #goOn(mount: Mount, worker: MountWorker): void {
    try {
      // What the old one had taken and not answered. What others are at comes twice; the kernel
      // knows the first answer and refuses the second.
      requestResend(mount.fd);
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      this.#options.onFault?.(mount.mountpoint, error.message);
    }
    this.#postStart(mount, worker);
  }

  /** A Worker's number among all of them. */
  #numberOf(mount: Mount, worker: MountWorker): number {
    return this.#mounts.indexOf(mount) * this.#workersPerMount +
      mount.workers.indexOf(worker);
  }

  /** Memory for the marks of a layer that is about to be added; all of its spans are missing. */
  reserve(spanCount: number): LayerMarks {
    const arena = this.#arena.allocate(spanCount + 1);
    let isHeld = true;
    return {
      arena,
      presence: this.#arena.bytes.subarray(arena, arena + spanCount),
      uses: this.#uses.subarray(arena, arena + spanCount),
      [Symbol.dispose]: () => {
        if (isHeld) this.#arena.release(arena, spanCount + 1);
        isHeld = false;
      },
    };
  }

  /**
   * Shows a layer. `<slot>/data` must be in place, and `<slot>/tree` (which is `tree`) once it is saved.
   * @param marks reserved for it; `remove` gives them back.
   * @returns its directory, to be used once `shown`, and its marks.
   * @throws RangeError when there is no room for another layer, OsError; then nothing is shown.
   */
  add(
    layer: ServedLayer,
    tree: LayerTree,
    marks: LayerMarks = this.reserve(layer.spanCount),
  ): ShownLayer & Pick<LayerMarks, "presence" | "uses"> {
    const { slot } = layer;
    const known = this.#layers.get(slot);
    if (known !== undefined) throw new Error(`slot ${slot} is served`);
    const { arena, presence, uses } = marks;
    this.#starts.write(arena, tree.spanStarts);
    this.#slots.add(slot, arena, layer.spanCount);
    this.#layers.set(slot, {
      layer,
      marks,
      dataBytes: dataBytes(tree),
      failed: new FailedReads(),
    });
    try {
      const place = this.#erofs.show(slot, tree, {
        directory: this.directory(layer),
        ready: layer.saved ?? Promise.resolve(),
      });
      return { ...place, presence, uses };
    } catch (error) {
      this.remove(slot);
      throw error;
    }
  }

  /** Layers are about to be added: what takes time to start is started. */
  expectLayers(): void {
    if (this.#options.face === "erofs") this.#helper.wake();
  }

  /** Where the FUSE tree shows a layer. */
  directory({ slot, hasXattrs }: { slot: number; hasXattrs: boolean }): string {
    // Where files are opened for EROFS, opening others would cost a question each.
    const mount = hasXattrs || this.#directBlobs ? "x" : "n";
    return `${this.#options.mountDirectory}/${mount}/${slot}`;
  }

  /**
   * Presence bytes of a layer were cleared, and the bytes of those spans are about to go. Resolves
   * when no Worker that saw them present is still copying.
   */
  spansGone(slot: number): Promise<void> {
    this.#slots.spansGone(slot);
    return this.#readers.left();
  }

  /** All bytes of a layer are in its data file now, or some no more. */
  spansHere(slot: number, all: "here" | "not here"): void {
    this.#erofs.readAhead.set(slot, all);
  }

  /** Takes away what the last process left of layers that were not added again. */
  sweep(): void {
    this.#erofs.sweep(new Set(this.#layers.keys()));
  }

  /** Stops showing a layer. Its readers get ESTALE. */
  remove(slot: number): void {
    const known = this.#layers.get(slot);
    if (known === undefined) return;
    this.#erofs.hide(slot);
    this.#slots.remove(slot);
    known.marks[Symbol.dispose]();
    this.#layers.delete(slot);
  }

  async #drain(): Promise<void> {
    const item = new RingItem();
    while (!this.#closed) {
      const seen = this.#ring.doorbell();
      while (this.#ring.take(item)) this.#take(item);
      await this.#ring.changed(seen);
    }
  }

  #take(item: RingItem): void {
    const { mount, uniqueLo, uniqueHi, slot, offset, length } = item;
    const id = `${mount}/${uniqueHi}/${uniqueLo}`;
    if (item.kind === RING_INTERRUPT) {
      if (this.#waiting.has(id)) this.#interrupt(id);
      else this.#askInterruptAgain(mount, uniqueLo, uniqueHi);
      return;
    }
    const cancel = new AbortController();
    const again = Object.assign(new RingItem(), item);
    this.#waiting.set(id, { cancel, thread: item.thread });
    this.#fill(again, cancel.signal).then((result) => {
      this.#waiting.delete(id);
      const fd = this.#mounts[mount]?.fd;
      if (fd === undefined || this.#closed) return;
      const answer = result === 0
        ? this.#readInto(slot, offset, length)
        : result;
      if (answer === null) return this.#take(again);
      this.#replies.send(fd, uniqueLo, uniqueHi, answer);
    });
  }

  /**
   * Lets a waiting read go if its thread is being killed. Another signal may have come: then the
   * read goes on, and since the kernel tells of no further signal, we keep looking.
   */
  #interrupt(id: string): void {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined || waiting.cancel.signal.aborted) return;
    if (isBeingKilled(waiting.thread)) {
      waiting.cancel.abort(); // answered -EINTR by `#take`
    } else setTimeout(() => this.#interrupt(id), KILL_POLL_MS);
  }

  /**
   * The signal may have overtaken its request, which another Worker has in hand. EAGAIN makes the
   * kernel tell again; if the request is answered by then it is not known any more (ENOENT), and that
   * is all.
   */
  #askInterruptAgain(mount: number, uniqueLo: number, uniqueHi: number): void {
    const again = setTimeout(() => {
      const fd = this.#mounts[mount]?.fd;
      if (fd === undefined || this.#closed) return;
      this.#replies.send(
        fd,
        (uniqueLo | INTERRUPT_BIT) >>> 0,
        uniqueHi,
        -ERRNO.EAGAIN,
      );
    }, INTERRUPT_AGAIN_MS);
    Deno.unrefTimer(again);
  }

  /** 0 when the bytes are in the data file, else a negative errno. */
  async #fill(
    { slot, offset, length, thread }: RingItem,
    signal: AbortSignal,
  ): Promise<number> {
    const known = this.#layers.get(slot);
    if (known === undefined) return -ERRNO.ESTALE;
    if (known.failed.repeats(thread, offset, length, performance.now())) {
      return -ERRNO.EIO;
    }
    using waiting = new WaitingThread(thread);
    try {
      const held = Math.min(length, known.dataBytes - offset);
      await known.layer.ensure(offset, held, signal);
      return 0;
    } catch (error) {
      if (signal.aborted) return -ERRNO.EINTR;
      const waited = waiting.waitedAllTheTime();
      known.failed.add(thread, offset, length, waited, performance.now());
      this.#options.onReadError?.(slot, offset, error);
      return -ERRNO.EIO;
    }
  }

  /** Bytes read, a negative errno, or null when they are gone again. */
  #readInto(slot: number, offset: number, length: number): number | null {
    const known = this.#layers.get(slot);
    if (known === undefined) return -ERRNO.ESTALE;
    // Less than `length` only at a blob's end, where zeros fill the last block.
    const held = Math.min(length, known.dataBytes - offset);
    const { payload } = this.#replies;
    payload.fill(0, held, length);
    return known.layer.copy(offset, payload.subarray(0, held)) ? length : null;
  }

  /** Unmounts and waits for the Workers; after `detach`, does nothing. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#detached) {
      await this.#helper[Symbol.asyncDispose]();
      return await this.#drained;
    }
    if (this.#closed) return;
    // While their FUSE mount is served; when it never was, nothing is asked for.
    await this.#erofs.close();
    await this.#helper[Symbol.asyncDispose]();
    this.#closed = true;
    for (const { cancel } of this.#waiting.values()) cancel.abort();
    for (const { mountpoint } of this.#mounts) {
      try {
        unmount(mountpoint);
      } catch (error) {
        if (!(error instanceof OsError)) throw error; // someone unmounted it before us
      }
    }
    this.#ring.wake();
    await this.#drained;
    for (const { fd, mountpoint, stopped, workers } of this.#mounts) {
      // Closing our descriptor ends the connection once the Worker's read has returned.
      if (this.#serving) {
        await Promise.race([
          stopped,
          new Promise((resolve) => setTimeout(resolve, 2000)),
        ]);
      }
      for (const worker of workers) worker.terminate();
      closeFd(fd);
      try {
        Deno.removeSync(mountpoint);
      } catch {
        // still busy below a lazy unmount: an empty folder stays behind
      }
    }
    this.#mounts = [];
  }
}

/** Resolves when all do. Whoever waits for it sees the failure. */
function all(promises: Promise<void>[]): Promise<void> {
  const done = Promise.all(promises).then(() => {});
  done.catch(() => {});
  return done;
}
