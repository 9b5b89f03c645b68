import { putOnDisk } from "../../host/files/mod.ts";
import { type NewFile, saveFiles } from "./layer_files.ts";
import { SharedRun } from "./shared_run.ts";
import type { SlotTableStore } from "./slots.ts";

/** Puts on disk what a power loss must not take from a layer, while the main thread goes on. */
export class LayerSaver {
  /** What is being written, by folder. */
  readonly #underWay = new Map<string, Promise<void>>();
  /** The names in the folder of layers. */
  readonly #names: SharedRun;
  readonly #slots: SlotTableStore;

  /** Of layers in folders below `layersDirectory`, whose slots are in `slots`. */
  constructor(layersDirectory: string, slots: SlotTableStore) {
    this.#names = new SharedRun(() => putOnDisk(layersDirectory));
    this.#slots = slots;
  }

  /**
   * Writes a layer's new files. Resolves when they are on disk, and with them the folder's name and
   * the layer's slot: whoever commits a snapshot on the layer relies on these, too.
   * @throws FileError
   */
  save(folder: string, files: readonly NewFile[]): Promise<void> {
    if (files.length === 0) return Promise.resolve();
    const before = this.#underWay.get(folder);
    const saved = this.#save(folder, files, before).finally(() => {
      if (this.#underWay.get(folder) === saved) this.#underWay.delete(folder);
    });
    saved.catch(() => {}); // whoever waits for the layer sees the failure
    this.#underWay.set(folder, saved);
    return saved;
  }

  /** @param before what the same drafts are being written for: the layer was closed and opened again. */
  async #save(
    folder: string,
    files: readonly NewFile[],
    before?: Promise<void>,
  ): Promise<void> {
    await before?.catch(() => {}); // told to whoever waits for that
    await saveFiles(folder, files);
    await Promise.all([this.#names.run(), this.#slots.sync()]);
  }

  /** Resolves when nothing is being written of what was asked for until now, however that ended. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#underWay.values());
  }
}
