import {
  isErofsImageOf,
  MAX_IMAGE_BYTES,
  writeErofsImage,
} from "../../formats/erofs/mod.ts";
import { namesIn, readIfThere, writeWholeSync } from "../../host/files/mod.ts";
import { makeFolder } from "../../host/os/mod.ts";
import {
  listMounts,
  LOWER_FLAGS,
  type MountHelper,
  MS,
  unmount,
  unmountElsewhere,
} from "../../host/mounting/mod.ts";
import { blobBytes, BLOBS_DIRECTORY, dataBytes } from "../tree/mod.ts";
import type { Face } from "./choose.ts";
import { MountReadAhead } from "./read_ahead.ts";
import { LayerTree } from "../tree/mod.ts";

/** Directory below the mounts' that holds the EROFS mountpoints, by slot. */
const EROFS_DIRECTORY = "e";
const IMAGE_FILE = "erofs";
/** When to look for mounts that the last process was making when it was killed, ms. */
const STRAYS_AFTER_MS = [50, 200, 2_000];
/** Layers that are unmounted at a time. */
const UNMOUNTS_AT_ONCE = 3;

/** How the face is set up. */
export interface ErofsFaceOptions {
  /** Folder that holds `<slot>/tree` and, written here, `<slot>/erofs`. */
  readonly layersDirectory: string;
  /** Folder of the FUSE mounts, where `e/<slot>` is made. */
  readonly mountDirectory: string;
  /** The FUSE mount whose blobs are used, as `n`. */
  readonly blobMount: string;
  /**
   * true: the FUSE mounts were taken over from the last process, so its EROFS mounts are alive and are
   * reused. false: they are dead and are unmounted.
   */
  readonly adopt: boolean;
  /** `fuse`: EROFS is used only for layers whose EROFS mount exists already. */
  readonly face: Face;
  /** Makes the mounts. */
  readonly helper: MountHelper;
  /** Called when a layer has to be shown by the FUSE tree. */
  readonly onFallback: (slot: number, reason: string) => void;
}

/** A layer that is, or will be, shown. */
export interface ShownLayer {
  /** Its root. */
  readonly directory: string;
  /** Resolves when the directory is in place; rejects when it cannot be. */
  readonly shown: Promise<void>;
}

/** Where the kernel reads a layer's bytes: on our FUSE mount, or in the layer's data file. */
export type LayerDevice = "blob" | "data file";

/** What became of the EROFS image of a layer, in its folder. Plain data. */
export type LayerImage =
  /** It is there. */
  | { readonly kind: "on disk" }
  /** There is none: EROFS cannot represent the layer, or it could not be written. */
  | { readonly kind: "none"; readonly reason: string };

/** Where the FUSE tree shows a layer. */
export interface FuseDirectory {
  /** The layer's root there. */
  readonly directory: string;
  /** Resolves when the layer's tree is there to be shown. */
  readonly ready: Promise<void>;
}

/**
 * Shows layers as EROFS mounts: an image of the layer's tree, whose data is the layer's blob on our own
 * FUSE mount. The kernel answers everything but reads by itself. Where the whole layer is on disk and stays there,
 * its data is that file: the kernel answers reads too, whether a daemon runs or not.
 *
 * A mount call opens the blob through our FUSE Workers. So mounting waits until `start` says that they
 * serve, and is done by a helper process. This class requests a mount as soon as the image is written
 * and does not wait for the mounts of other layers: while many layers are opened, the main thread is
 * busy and would read each answer late. A mount belongs to the layer from `show` to `hide`; it outlives
 * this process unless `close` is called.
 */
export class ErofsFace {
  readonly #options: ErofsFaceOptions;
  /** How far the kernel reads ahead in each mount. */
  readonly readAhead: MountReadAhead;
  readonly #folder: string;
  /** Slots with a mount, or one being made. */
  readonly #mounted = new Set<number>();
  /** Slots whose mount shows the FUSE tree, as their image could not be mounted. */
  readonly #bound = new Set<number>();
  /** Slots whose device is their data file. */
  readonly #whole = new Set<number>();
  /** Slots whose mount was found and not claimed yet. */
  readonly #found = new Set<number>();
  /** By slot, the last operation that is queued or running: operations of a slot run in order. */
  readonly #turns = new Map<number, Promise<void>>();
  /** Resolves when the FUSE mounts are served; all operations wait for it. */
  #begin: Promise<void>;
  /**
   * The last unmount of each row. Each unmount occupies a thread, and frees the disk of a layer that nobody uses any
   * more: that takes long for a large one.
   */
  readonly #takingAway: Promise<unknown>[] = new Array(UNMOUNTS_AT_ONCE)
    .fill(Promise.resolve());
  #taken = 0;
  #started = false;
  /** Whether the mounts belong to a successor, or are gone. */
  #ended = false;
  readonly #serving = Promise.withResolvers<void>();

  /**
   * Looks for mounts of the last process. Nothing is mounted before `start`.
   * @throws OsError when dead mounts cannot be unmounted.
   */
  constructor(options: ErofsFaceOptions) {
    this.#options = options;
    this.readAhead = new MountReadAhead(options.layersDirectory);
    this.#folder = `${options.mountDirectory}/${EROFS_DIRECTORY}`;
    for (const slot of mountedSlots(this.#folder)) {
      if (options.adopt) {
        this.#mounted.add(slot);
        this.#found.add(slot);
      } else detachAll(this.#mountpoint(slot));
    }
    this.#begin = this.#serving.promise;
  }

  /**
   * The FUSE mounts are served from now on. Mounts that were found but that no layer has claimed belong
   * to removed layers.
   */
  start(): void {
    this.#started = true;
    for (const slot of this.#found) this.hide(slot);
    this.#serving.resolve();
    if (!this.#options.adopt) return;
    for (const ms of STRAYS_AFTER_MS) {
      Deno.unrefTimer(setTimeout(() => this.#sweepStrays(), ms));
    }
  }

  /**
   * Unmounts what the last process's helper was mounting when that process was killed. The helper's
   * mount call waited for an answer, and we have answered since.
   */
  #sweepStrays(): void {
    for (const slot of mountedSlots(this.#folder)) {
      this.#inTurn(slot, async () => {
        if (this.#ended || this.#mounted.has(slot)) return;
        await this.#takeAway(slot);
      });
    }
  }

  /** Whether a layer that will be shown needs its image: see `makeImage`. */
  wantsImage(slot: number): boolean {
    return this.#options.face === "erofs" && !this.#mounted.has(slot);
  }

  /**
   * Shows a layer whose folder is in place.
   * @param image made already, or the tree it is to be made of; null where none is needed.
   * @param fuse where the FUSE tree shows it, and from when on.
   * @param device of a mount that is made; one that is there keeps its own.
   * @returns `fuse`, if the face is `fuse` or no image can be made.
   */
  show(
    slot: number,
    image: LayerTree | LayerImage | null,
    fuse: FuseDirectory,
    device: LayerDevice = "blob",
  ): ShownLayer {
    const mountpoint = this.#mountpoint(slot);
    this.#found.delete(slot);
    if (this.#mounted.has(slot)) {
      this.readAhead.adopt(slot);
      return { directory: mountpoint, shown: Promise.resolve() };
    }
    const inFuse = { directory: fuse.directory, shown: fuse.ready };
    if (this.#options.face === "fuse") return inFuse;
    const folder = `${this.#options.layersDirectory}/${slot}`;
    const made = image instanceof LayerTree
      ? makeImage(folder, slot, image)
      : image;
    if (made?.kind !== "on disk") {
      // EROFS cannot represent this layer; the FUSE tree still can.
      this.#options.onFallback(slot, made?.reason ?? "its image was not made");
      return inFuse;
    }
    this.#mounted.add(slot);
    if (device === "data file") this.#whole.add(slot);
    const shown = this.#inTurn(
      slot,
      () => this.#mount(slot, `${folder}/${IMAGE_FILE}`, fuse),
    );
    shown.catch(() => {}); // reported to the callers that wait for it
    return { directory: mountpoint, shown };
  }

  async #mount(
    slot: number,
    image: string,
    fuse: FuseDirectory,
  ): Promise<void> {
    const target = this.#mountpoint(slot);
    makeFolder(this.#folder, 0o755);
    makeFolder(target, 0o755);
    const { helper, onFallback } = this.#options;
    let { failure, devices } = await this.#mountImage(slot, image);
    if (failure !== null && this.#whole.delete(slot)) {
      const why = failure; // the file system below may give the kernel no file to read
      ({ failure, devices } = await this.#mountImage(slot, image));
      if (failure === null) onFallback(slot, `read through FUSE: ${why}`);
    }
    if (failure === null) return this.readAhead.mounted(slot, devices);
    // The directory was promised to the caller, so the FUSE tree is mounted there.
    this.#bound.add(slot);
    onFallback(slot, `${failure}; the kernel's log (dmesg) may say more`);
    await fuse.ready;
    const { failure: bound } = await helper.mount({
      source: fuse.directory,
      target,
      type: "",
      flags: MS.BIND, // its other flags are those of the FUSE mount
      data: "",
    });
    if (bound === null) return;
    removeIfEmpty(target); // it must not look like an empty layer
    throw new Error(`layer cannot be shown in ${target}: ${bound}`);
  }

  #mountImage(slot: number, image: string): ReturnType<MountHelper["mount"]> {
    const { blobMount, layersDirectory, helper } = this.#options;
    const device = this.#whole.has(slot)
      ? `${layersDirectory}/${slot}/data`
      : `${blobMount}/${BLOBS_DIRECTORY}/${slot}`;
    return helper.mount({
      source: image,
      target: this.#mountpoint(slot),
      type: "erofs",
      flags: LOWER_FLAGS,
      data: `device=${device}`,
    });
  }

  /**
   * Mounts a layer once more, over the mount that it has: nothing is cached of the new one. Who uses the old
   * one keeps it.
   * @returns false when the layer is not shown as an image.
   * @throws Error when it cannot be mounted
   */
  async showAnew(slot: number): Promise<boolean> {
    if (!this.#mounted.has(slot) || this.#bound.has(slot)) return false;
    await this.#inTurn(slot, async () => {
      if (this.#ended || !this.#mounted.has(slot)) return;
      const image = `${this.#options.layersDirectory}/${slot}/${IMAGE_FILE}`;
      const { failure, devices } = await this.#mountImage(slot, image);
      if (failure !== null) throw new Error(failure);
      this.readAhead.mounted(slot, devices);
    });
    return !this.#bound.has(slot);
  }

  /** Unmounts a layer; processes inside keep it until they leave. */
  hide(slot: number): void {
    this.#found.delete(slot);
    this.readAhead.forget(slot);
    this.#bound.delete(slot);
    this.#whole.delete(slot);
    if (!this.#mounted.delete(slot)) return;
    this.#inTurn(slot, () => this.#takeAway(slot));
  }

  #takeAway(slot: number): Promise<void> {
    const mountpoint = this.#mountpoint(slot);
    const row = this.#taken++ % UNMOUNTS_AT_ONCE;
    const away = this.#takingAway[row]!.then(async () => {
      while (await unmountElsewhere(mountpoint));
      removeIfEmpty(mountpoint);
    });
    this.#takingAway[row] = away.catch(() => {}); // reported to the caller of this one
    return away;
  }

  /** Unmounts the last process's mounts of layers that are not shown. */
  sweep(shown: ReadonlySet<number>): void {
    for (const slot of [...this.#mounted]) {
      if (!shown.has(slot)) this.hide(slot);
    }
    // Reading the folder touches none of the mounts in it.
    for (const name of namesIn(this.#folder)) {
      const slot = Number(name);
      if (!this.#mounted.has(slot)) {
        this.#inTurn(slot, () => {
          if (!this.#mounted.has(slot)) {
            removeIfEmpty(`${this.#folder}/${name}`);
          }
          return Promise.resolve();
        });
      }
    }
  }

  /** Runs work after all earlier operations of this slot. */
  #inTurn(slot: number, work: () => Promise<void>): Promise<void> {
    const done = (this.#turns.get(slot) ?? this.#begin).then(work);
    const over = done.catch(() => {}).then(() => {
      if (this.#turns.get(slot) === over) this.#turns.delete(slot);
    });
    this.#turns.set(slot, over);
    return done;
  }

  /** Resolves when all operations requested so far have ended. Call it only after `start`. */
  async settled(): Promise<void> {
    await Promise.all(this.#turns.values());
  }

  /**
   * Leaves all mounts to a successor. From now on this process unmounts nothing: a mount may be the
   * successor's.
   */
  leave(): void {
    this.#ended = true;
  }

  /**
   * Unmounts everything. Before `start`, only the last process's mounts exist, and no operation has
   * begun.
   */
  async close(): Promise<void> {
    this.#ended = true;
    if (!this.#started) {
      this.#turns.clear();
      this.#begin = Promise.resolve();
    }
    for (const slot of [...this.#mounted]) this.hide(slot);
    await this.settled();
    removeIfEmpty(this.#folder);
  }

  #mountpoint(slot: number): string {
    return `${this.#folder}/${slot}`;
  }
}

/**
 * Makes the image of a layer's tree in its folder, unless it is there. Takes long for a large tree, so
 * it is called in a Worker. Never throws.
 */
export function makeImage(
  folder: string,
  slot: number,
  tree: LayerTree,
): LayerImage {
  const path = `${folder}/${IMAGE_FILE}`;
  try {
    const image = newImage(path, slot, tree);
    if (image !== null) writeWholeSync(path, image);
    return { kind: "on disk" };
  } catch (error) {
    return {
      kind: "none",
      reason: error instanceof Error ? error.message : String(error),
    };
  }
}

/**
 * Makes the tree's image; null if the file holds it already. @throws ErofsUnsupportedError, FileError
 */
function newImage(
  path: string,
  slot: number,
  tree: LayerTree,
): Uint8Array<ArrayBuffer> | null {
  const source = {
    volume: `soci-${slot}`,
    blobBytes: blobBytes(dataBytes(tree)),
    treeChecksum: tree.checksum,
  };
  const found = readIfThere(path, MAX_IMAGE_BYTES);
  if (found !== null && isErofsImageOf(found, source)) return null;
  return writeErofsImage(tree, source);
}

/** Slots whose mountpoint below `folder` is in use. */
function mountedSlots(folder: string): Set<number> {
  const slots = listMounts().filter(({ mountpoint }) =>
    mountpoint.startsWith(`${folder}/`)
  ).map(({ mountpoint }) => Number(mountpoint.slice(folder.length + 1)));
  return new Set(slots.filter(Number.isSafeInteger));
}

/** Detaches dead mounts. Does not access them, so it cannot hang. */
function detachAll(mountpoint: string): void {
  for (const { mountpoint: found } of listMounts()) {
    if (found === mountpoint) unmount(mountpoint);
  }
  removeIfEmpty(mountpoint);
}

function removeIfEmpty(path: string): void {
  try {
    Deno.removeSync(path);
  } catch {
    // Something is still mounted there: an empty folder stays behind.
  }
}
