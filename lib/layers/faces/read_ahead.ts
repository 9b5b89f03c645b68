import { readTextIfThere } from "../../host/files/mod.ts";
import { OsError, writeText } from "../../host/os/mod.ts";

/** Where the kernel shows the read-ahead of each mounted file system (Documentation/ABI, bdi). */
const DEVICES = "/sys/class/bdi";
const DEVICE = /^erofs-\d+$/;
/** The kernel's default. A page fault reads this much around itself, even if it is not cached yet. */
const CAREFUL_KB = 128;
/** A pack holds what was read, and little around it. */
const PACKED_KB = 32;
/** More read-ahead means larger folios, fewer page faults and fewer READs. */
const GENEROUS_KB = 1024;
const FILE = "read-ahead-device";
/**
 * A pull makes many mounts in a row. Files that only a successor needs are written when none was made for so long,
 * ms.
 */
const KEEP_AFTER_MS = 1_000;

/**
 * Sets the kernel's read-ahead of EROFS mounts: large for complete layers, small for those that a start pack
 * brings, else the kernel's default, because missing bytes that it reads ahead would have to be fetched. Off
 * while reads are recorded.
 *
 * No interface says which device belongs to a mount. But device names are never reused, and the mount
 * helper makes one mount at a time, so the mount's device is the only new one after it. If there is more
 * than one new device, nothing is changed. The name is kept in the layer's folder, for a process that
 * takes over the mounts.
 */
export class MountReadAhead {
  readonly #layersDirectory: string;
  /** Device names by slot. */
  readonly #devices = new Map<number, string>();
  readonly #generous = new Set<number>();
  readonly #packed = new Set<number>();
  /** Slots whose device is not written down yet. */
  readonly #unkept = new Set<number>();
  #keeping: ReturnType<typeof setTimeout> | undefined;
  /** Slots whose reads are recorded. */
  #exact: ReadonlySet<number> = new Set();

  /** Changes nothing yet. @param layersDirectory holds a folder for each slot. */
  constructor(layersDirectory: string) {
    this.#layersDirectory = layersDirectory;
  }

  /**
   * Notes that a layer was mounted.
   * @param devices the devices that appeared with the mount.
   */
  mounted(slot: number, devices: readonly string[]): void {
    const [device, ...others] = devices.filter((name) => DEVICE.test(name));
    if (device === undefined || others.length > 0) return;
    this.#devices.set(slot, device);
    this.#unkept.add(slot);
    clearTimeout(this.#keeping);
    this.#keeping = setTimeout(() => this.#keepAll(), KEEP_AFTER_MS);
    Deno.unrefTimer(this.#keeping);
    this.#apply(slot);
  }

  /** Notes that a mount of the last process is reused. */
  adopt(slot: number): void {
    const device = readTextIfThere(this.#file(slot));
    if (device !== null && DEVICE.test(device)) this.#devices.set(slot, device);
    this.#apply(slot);
  }

  /** Sets the read-ahead of a layer that is complete now, or no longer. */
  set(slot: number, all: "here" | "not here"): void {
    const generous = all === "here";
    if (generous === this.#generous.has(slot)) return;
    if (generous) this.#generous.add(slot);
    else this.#generous.delete(slot);
    this.#apply(slot);
  }

  /** Sets the read-ahead of a layer that is served from a start pack now, or no longer. */
  setPack(slot: number, pack: "here" | "not here"): void {
    if (pack === "here") this.#packed.add(slot);
    else this.#packed.delete(slot);
    this.#apply(slot);
  }

  /** Sets which layers are read page by page, without read-ahead; the others are no more. */
  setExact(slots: ReadonlySet<number>): void {
    const changed = this.#exact.symmetricDifference(slots);
    this.#exact = slots;
    for (const slot of changed) this.#apply(slot);
  }

  /** Forgets a layer that is not shown any more. */
  forget(slot: number): void {
    this.#devices.delete(slot);
    this.#unkept.delete(slot);
    this.#generous.delete(slot);
    this.#packed.delete(slot);
  }

  #apply(slot: number): void {
    const device = this.#devices.get(slot);
    if (device === undefined) return;
    const kb = this.#exact.has(slot)
      ? 0
      : this.#generous.has(slot)
      ? GENEROUS_KB
      : this.#packed.has(slot)
      ? PACKED_KB
      : CAREFUL_KB;
    try {
      writeText(`${DEVICES}/${device}/read_ahead_kb`, String(kb));
    } catch (error) {
      // Read-only in a container, or the mount is gone: the setting stays unchanged.
      if (!(error instanceof OsError)) throw error;
    }
  }

  #keepAll(): void {
    for (const slot of this.#unkept) {
      const device = this.#devices.get(slot)!;
      try {
        Deno.writeTextFileSync(this.#file(slot), device, { mode: 0o600 });
      } catch (error) {
        if (!(error instanceof Error)) throw error; // full disk: a successor will not know the device
      }
    }
    this.#unkept.clear();
  }

  #file(slot: number): string {
    return `${this.#layersDirectory}/${slot}/${FILE}`;
  }
}
