import { logger } from "../../telemetry/mod.ts";
import type { IdleLayers } from "../spans/mod.ts";
import {
  bytesOnDisk,
  isReadOnlyDisk,
  removeFolder,
  removeIfThere,
  statIfThere,
} from "../../host/files/mod.ts";

import { emptyWholeData, hasWholeData, wasEmptied } from "./whole_data.ts";

const log = logger("images");
/** Marker file in a layer's folder: the layer had no users when it was last served. */
const MARK = "unused";
/** The most layers whose ztocs are kept without their bytes. */
const MOST_EMPTIED = 256;

/**
 * Caches of layers that no snapshot uses any more, kept for the next image that has them. When room is
 * needed, the least recently used one is removed first.
 */
export class IdleLayerFolders implements IdleLayers {
  readonly #layersDirectory: string;
  readonly #forget: (slot: number) => void;
  readonly #indexes: "kept" | "removed";
  readonly #onAdded: () => void;
  /** Those without their bytes, least recently used first. */
  readonly #emptied = new Set<number>();
  /** Bytes on disk by slot, least recently used first. */
  readonly #layers = new Map<number, number>();
  #bytes = 0;

  /**
   * Finds the layers that an earlier process kept.
   * @param forget called with each slot whose folder is removed.
   * @param indexes whether what a layer that was taken whole can be fetched by in parts stays when its bytes go.
   * @param onAdded called when there is one more.
   */
  constructor(
    layersDirectory: string,
    slots: Iterable<number>,
    forget: (slot: number) => void,
    indexes: "kept" | "removed" = "removed",
    onAdded: () => void = () => {},
  ) {
    this.#layersDirectory = layersDirectory;
    this.#forget = forget;
    this.#indexes = indexes;
    this.#onAdded = onAdded;
    const found: { slot: number; sinceMs: number }[] = [];
    for (const slot of slots) {
      const mark = statIfThere(`${layersDirectory}/${slot}/${MARK}`);
      if (mark !== null) {
        found.push({ slot, sinceMs: mark.mtime?.getTime() ?? 0 });
      }
    }
    found.sort((a, b) => a.sinceMs - b.sinceMs);
    for (const { slot } of found) this.#count(slot);
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Slots of the layers kept, least recently used first. */
  slots(): number[] {
    return [...this.#layers.keys()];
  }

  /** Keeps a layer that is no longer served. */
  add(slot: number): void {
    try {
      Deno.writeFileSync(
        `${this.#layersDirectory}/${slot}/${MARK}`,
        new Uint8Array(),
      );
    } catch (error) { // the next start takes it for what a crash left over
      log.warn("a layer is kept for this run alone", {
        slot,
        error: String(error),
      });
    }
    this.#count(slot);
    this.#onAdded();
  }

  /** Takes out a layer that is served again. @returns whether it was kept here. */
  take(slot: number): boolean {
    const bytes = this.#layers.get(slot);
    if (bytes === undefined) return false;
    this.#layers.delete(slot);
    this.#emptied.delete(slot);
    this.#bytes -= bytes;
    try {
      removeIfThere(`${this.#layersDirectory}/${slot}/${MARK}`);
    } catch (error) {
      if (!isReadOnlyDisk(error)) throw error; // a row that names the layer counts more
    }
    return true;
  }

  free(bytes: number): void {
    const goal = this.#bytes - bytes;
    for (const slot of [...this.#layers.keys()]) {
      if (this.#bytes <= Math.max(0, goal)) return;
      if (!this.#emptied.has(slot) && !this.#empty(slot)) this.remove(slot);
    }
  }

  /** Gives up the bytes of a layer that was taken whole, but not its ztoc. @returns false where that is not so. */
  #empty(slot: number): boolean {
    const folder = `${this.#layersDirectory}/${slot}`;
    if (this.#indexes === "removed") return false;
    if (!hasWholeData(folder) && !wasEmptied(folder)) return false;
    emptyWholeData(folder);
    this.#bytes -= this.#layers.get(slot) ?? 0;
    this.#layers.set(slot, 0);
    this.#emptied.add(slot);
    log.debug("the bytes of a layer that nobody uses were given up", { slot });
    const [oldest] = this.#emptied;
    if (this.#emptied.size > MOST_EMPTIED && oldest !== undefined) {
      this.remove(oldest);
    }
    return true;
  }

  /** Removes a layer, if it is kept here. @throws FileError */
  remove(slot: number): void {
    const bytes = this.#layers.get(slot);
    if (bytes === undefined) return;
    this.#layers.delete(slot);
    this.#emptied.delete(slot);
    this.#bytes -= bytes;
    this.#forget(slot);
    removeFolder(`${this.#layersDirectory}/${slot}`);
    log.debug("a layer that nobody uses was given up", { slot, bytes });
  }

  #count(slot: number): void {
    const stat = statIfThere(`${this.#layersDirectory}/${slot}/data`);
    const bytes = stat === null ? 0 : bytesOnDisk(stat);
    this.#layers.set(slot, bytes);
    this.#bytes += bytes;
    if (bytes === 0 && wasEmptied(`${this.#layersDirectory}/${slot}`)) {
      this.#emptied.add(slot);
    }
  }
}
