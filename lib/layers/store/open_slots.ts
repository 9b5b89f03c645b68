/**
 * How the slot table is opened by the process that owns it: compared with what else says which slots were given, and
 * made good from there.
 * @module
 */
import {
  FileError,
  isDamagedDatabase,
  removeIfThere,
} from "../../host/files/mod.ts";
import { logger, tellStateDamage } from "../../telemetry/mod.ts";
import { StateVersionError } from "./errors.ts";
import { DiskReserve } from "./reserve.ts";
import {
  folderRecords,
  readSlotMark,
  type SlotMark,
  writeSlotMark,
} from "./slot_files.ts";
import { SlotTableStore } from "./slots.ts";

const log = logger("images");

/**
 * So many slots are left out where nobody knows how many were given beyond those that are seen: more than a daemon
 * gives between two starts, and there are four thousand times as many.
 */
const LEFT_OUT = 2 ** 20;

/** Where the table's files are, and what others say of it. */
export interface SlotTablePlace {
  /** `slots.db` and `slot-mark` are in it. */
  readonly root: string;
  /** Of the layers' folders. */
  readonly layersDirectory: string;
  /** What the hand-over state names; null where there is none. */
  readonly handedOver: SlotMark | null;
}

/**
 * Opens the slot table.
 *
 * Three others know what it says: each layer's folder its own slot, `slot-mark` the highest slot that was ever given,
 * the hand-over state the table's generation. Where the table is gone, older than they are or changed, that is told,
 * the slots are taken from the folders, and no slot is given again that anybody may know.
 * @throws StateVersionError; SQLite's errors, FileError
 */
export function openSlotTable(place: SlotTablePlace): SlotTableStore {
  const { root, layersDirectory, handedOver } = place;
  const path = `${root}/slots.db`;
  const markPath = `${root}/slot-mark`;
  const reserve = new DiskReserve(root);
  const options = { markPath, giveRoom: () => reserve.giveUp() };
  const slots = openOrBegin(path, options);
  try {
    const folders = folderRecords(layersDirectory);
    for (const damaged of folders.damaged) {
      tellStateDamage({
        path: damaged,
        found: "its checksum is another one",
        then: "slots.db says which layer it is, and it is written again",
      });
    }
    const mark = readSlotMark(markPath);
    tellMark(slots, mark, markPath);
    const known = mark === "damaged" ? null : mark;
    const wrong = whatIsWrong(slots, known, handedOver, folders.highest);
    const byRow = new Map(slots.all().map((record) => [record.slot, record]));
    let restored = 0;
    for (const record of folders.records) {
      const row = byRow.get(record.slot);
      const differs = row !== undefined &&
        (row.layerDigest !== record.layerDigest ||
          row.ztocDigest !== record.ztocDigest);
      if (differs || (row === undefined && wrong !== null)) {
        restored += Number(slots.restore(record));
      }
    }
    const seen = Math.max(
      known?.highest ?? 0,
      handedOver?.highest ?? 0,
      folders.highest,
    );
    // The mark is of every slot that was given; without it only those are known that left something.
    slots.startAbove(wrong !== null && known === null ? seen + LEFT_OUT : seen);
    if (wrong !== null || restored > 0) {
      tellStateDamage({
        path,
        found: wrong ?? "it says other layers than their folders",
        then:
          `${restored} layers are known again by their folders, and slots go on above ${slots.mark.highest}; what cannot be read is shown as an error, never as another file`,
      });
    }
    keepMark(slots, known, markPath);
    return slots;
  } catch (error) {
    slots[Symbol.dispose]();
    throw error;
  }
}

/** A table that cannot be read is put aside. */
function openOrBegin(
  path: string,
  options: { readonly markPath: string; readonly giveRoom: () => boolean },
): SlotTableStore {
  try {
    return new SlotTableStore(path, options);
  } catch (error) {
    if (error instanceof StateVersionError || !isDamagedDatabase(error)) {
      throw error;
    }
    log.error("the slot table cannot be read, another one is begun", {
      path,
      error: String(error),
      kept: `${path}.damaged`,
    });
    Deno.renameSync(path, `${path}.damaged`);
    removeIfThere(`${path}-wal`);
    removeIfThere(`${path}-shm`);
    return new SlotTableStore(path, options);
  }
}

function tellMark(
  slots: SlotTableStore,
  mark: SlotMark | "damaged" | null,
  path: string,
): void {
  if (mark !== "damaged" && (mark !== null || slots.origin !== "kept")) return;
  tellStateDamage({
    path,
    found: mark === null ? "it is missing" : "its checksum is another one",
    then: "it is written again from slots.db",
  });
}

/** What others know and the table does not; null when it knows all. */
function whatIsWrong(
  slots: SlotTableStore,
  mark: SlotMark | null,
  handedOver: SlotMark | null,
  highestFolder: number,
): string | null {
  const { generation, highest } = slots.mark;
  if (slots.origin === "made") {
    return mark !== null || handedOver !== null || highestFolder > 0
      ? "it is lost: there was one"
      : null;
  }
  for (const other of [mark, handedOver]) {
    if (other === null || slots.origin === "adopted") continue;
    if (other.generation !== generation) {
      return "it is another one than the one that was in use";
    }
    if (other.highest > highest) {
      return `its last entries are lost: it knows slots up to ${highest}, and ${other.highest} was given`;
    }
  }
  return null;
}

function keepMark(
  slots: SlotTableStore,
  known: SlotMark | null,
  path: string,
): void {
  const { generation, highest } = slots.mark;
  if (known?.generation === generation && known.highest === highest) return;
  try {
    writeSlotMark(path, { generation, highest });
  } catch (error) {
    // It is written before the next slot is given out, or none is.
    if (!(error instanceof FileError)) throw error;
    log.warn("the highest slot cannot be written down", {
      error: error.message,
    });
  }
}
