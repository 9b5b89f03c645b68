import { logger } from "../../telemetry/mod.ts";
import type { IdleLayers } from "../spans/mod.ts";
import {
  bytesOnDisk,
  isReadOnlyDisk,
  removeFolder,
  removeIfThere,
  statIfThere,
} from "../../host/files/mod.ts";

const log = logger("images");
/** Marker file in a layer's folder: the layer had no users when it was last served. */
const MARK = "unused";

/**
 * Caches of layers that no snapshot uses any more, kept for the next image that has them. When room is
 * needed, the least recently used one is removed first.
 */
export class IdleLayerFolders implements IdleLayers {
  readonly #layersDirectory: string;
  readonly #forget: (slot: number) => void;
  /** Bytes on disk by slot, least recently used first. */
  readonly #layers = new Map<number, number>();
  #bytes = 0;

  /**
   * Finds the layers that an earlier process kept.
   * @param forget called with each slot whose folder is removed.
   */
  constructor(
    layersDirectory: string,
    slots: Iterable<number>,
    forget: (slot: number) => void,
  ) {
    this.#layersDirectory = layersDirectory;
    this.#forget = forget;
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
  }

  /** Takes out a layer that is served again. @returns whether it was kept here. */
  take(slot: number): boolean {
    const bytes = this.#layers.get(slot);
    if (bytes === undefined) return false;
    this.#layers.delete(slot);
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
    for (const slot of this.#layers.keys()) {
      if (this.#bytes <= Math.max(0, goal)) return;
      this.remove(slot);
    }
  }

  /** Removes a layer, if it is kept here. @throws FileError */
  remove(slot: number): void {
    const bytes = this.#layers.get(slot);
    if (bytes === undefined) return;
    this.#layers.delete(slot);
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
  }
}
