import {
  CoalescedTask,
  putOnDisk,
  SharedRounds,
} from "../../host/files/mod.ts";
import { allEnded, holds, type NewFile, saveFiles } from "./layer_files.ts";
import { SLOT_RECORD, slotRecordBytes } from "./slot_files.ts";
import { slotOf, type SlotTableStore } from "./slots.ts";

/** Syncs the parts of a layer that must survive a power loss, without blocking the main thread. */
export class LayerSaver {
  /** Saves in progress, by folder. */
  readonly #underWay = new Map<string, Promise<void>>();
  /** Folders that this process has seen on disk. What an earlier one named in others may not be: it may have been killed. */
  readonly #onDisk = new Set<string>();
  /** Syncs the folder that holds the layers' folders. */
  readonly #names: CoalescedTask;
  /** Layers that are opened at the same time wait for the disk together. */
  readonly #syncs = { bytes: new SharedRounds(), names: new SharedRounds() };
  readonly #slots: SlotTableStore;

  /** Saves layers in folders below `layersDirectory`, whose slots are in `slots`. */
  constructor(layersDirectory: string, slots: SlotTableStore) {
    this.#names = new CoalescedTask(() => putOnDisk(layersDirectory));
    this.#slots = slots;
  }

  /**
   * Writes a layer's new files. Resolves when those that nothing else knows are on disk, together with the folder's
   * name and the layer's slot. A snapshot committed on the layer relies on all three. So the first save of a process
   * into a folder syncs all of them also where nothing is new: who named them may have been killed before it did.
   * @throws FileError
   */
  save(folder: string, made: readonly NewFile[]): Promise<void> {
    const files = [...made, ...this.#record(folder)];
    if (files.length === 0 && this.#onDisk.has(folder)) {
      return Promise.resolve();
    }
    const before = this.#underWay.get(folder);
    const saved = this.#save(folder, files, before).finally(() => {
      if (this.#underWay.get(folder) === saved) this.#underWay.delete(folder);
    });
    saved.catch(() => {}); // the callers that wait for the layer get the error
    this.#underWay.set(folder, saved);
    return saved;
  }

  /** The folder's own word for which layer it is, where it has none or another one. */
  #record(folder: string): NewFile[] {
    const row = this.#slots.row(slotOf(folder) ?? 0);
    if (row === null) return [];
    const bytes = slotRecordBytes(row);
    return holds(`${folder}/${SLOT_RECORD}`, bytes)
      ? []
      : [{ name: SLOT_RECORD, bytes }];
  }

  /**
   * @param before an earlier save into the same folder, if the layer was closed and opened again.
   * Its draft files have the same names, so it must end first.
   */
  async #save(
    folder: string,
    files: readonly NewFile[],
    before?: Promise<void>,
  ): Promise<void> {
    await before?.catch(() => {}); // reported to the caller of that save
    const isFirst = !this.#onDisk.has(folder);
    await allEnded([
      saveFiles(folder, files, this.#syncs, isFirst ? "always" : "if new"),
      this.#names.run(),
      this.#slots.sync(),
    ]);
    this.#onDisk.add(folder);
  }

  /** Resolves when every save requested so far has ended, whether it worked or not. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#underWay.values());
  }
}
