/**
 * How the slot table is opened by the process that owns it: compared with what else says which slots were given, and
 * made good from there.
 * @module
 */
import {
  type DatabaseMark,
  FileError,
  readMark,
  writeMark,
} from "../../host/files/mod.ts";
import { bootId } from "../../host/os/mod.ts";
import { logger, tellStateDamage } from "../../telemetry/mod.ts";
import { DiskReserve } from "./reserve.ts";
import { folderRecords } from "./slot_files.ts";
import { SlotTableStore } from "./slots.ts";

const log = logger("images");

/**
 * So many slots are left out where nobody knows how many were given beyond those that are seen: more than a daemon
 * gives between two starts, and there are four thousand times as many.
 */
const LEFT_OUT = 2 ** 20;

/** What the hand-over state says of the slots that the kernel knows. */
export type HandedOverSlots = Pick<DatabaseMark, "generation" | "highest">;

/** Where the table's files are, and what others say of it. */
export interface SlotTablePlace {
  /** `slots.db` and `slot-mark` are in it. */
  readonly root: string;
  /** Of the layers' folders. */
  readonly layersDirectory: string;
  /** What the hand-over state names; null where there is none. */
  readonly handedOver: HandedOverSlots | null;
}

/**
 * Opens the slot table.
 *
 * Three others know what it says: each layer's folder its own row, `slot-mark` the highest slot that was ever given,
 * the hand-over state the table's generation. Where the table is gone, older than they are or changed, that is told,
 * rows are taken from the folders, and no slot is given again that anybody may know.
 * @throws StateVersionError; SQLite's errors, FileError
 */
export function openSlotTable(place: SlotTablePlace): SlotTableStore {
  const { root, layersDirectory, handedOver } = place;
  const path = `${root}/slots.db`;
  const markPath = `${root}/slot-mark`;
  const slots = new SlotTableStore(path, {
    markPath,
    spare: new DiskReserve(root),
  });
  try {
    const folders = folderRecords(layersDirectory);
    for (const damaged of folders.damaged) {
      tellStateDamage({
        path: damaged,
        found: "its checksum is another one",
        then: "slots.db says which layer it is, and it is written again",
      });
    }
    const found = readMark(markPath);
    tellMark(slots, found, markPath);
    const mark = found === "damaged" ? null : found;
    const wrong = whatIsWrong(slots, mark, handedOver, folders.highest);
    const restored = wrong === null
      ? 0
      : folders.records.filter((row) => slots.restore(row)).length;
    const seen = Math.max(
      mark?.highest ?? 0,
      handedOver?.highest ?? 0,
      folders.highest,
    );
    // The mark is of every slot that was given; without it only those are known that left something.
    slots.startAbove(wrong !== null && mark === null ? seen + LEFT_OUT : seen);
    if (wrong !== null) {
      tellStateDamage({
        path,
        found: wrong,
        then:
          `${restored} layers are known again by their folders, and slots go on above ${slots.highest}; what cannot be read is shown as an error, never as another file`,
      });
    }
    keepMark(slots, mark, markPath);
    return slots;
  } catch (error) {
    slots[Symbol.dispose]();
    throw error;
  }
}

function tellMark(
  { origin }: SlotTableStore,
  mark: DatabaseMark | "damaged" | null,
  path: string,
): void {
  if (mark !== "damaged" && (mark !== null || origin !== "kept")) return;
  tellStateDamage({
    path,
    found: mark === null ? "it is missing" : "its checksum is another one",
    then: "it is written again from slots.db",
  });
}

/** What the table itself shows, or others know and it does not; null when it knows all. */
function whatIsWrong(
  slots: SlotTableStore,
  mark: DatabaseMark | null,
  handedOver: HandedOverSlots | null,
  highestFolder: number,
): string | null {
  const { generation, highest, origin, damage } = slots;
  if (damage !== null) return damage;
  if (origin === "made") {
    return mark !== null || handedOver !== null || highestFolder > 0
      ? "it is lost: there was one"
      : null;
  }
  // After a power loss its last entries may be gone; no kernel knows those slots any more.
  const known = mark?.bootId === bootId() ? mark : null;
  for (const other of [known, handedOver]) {
    if (other === null || origin === "adopted") continue;
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
  { generation, highest }: SlotTableStore,
  known: DatabaseMark | null,
  path: string,
): void {
  const boot = bootId();
  if (
    known?.generation === generation && known.highest === highest &&
    known.bootId === boot
  ) return;
  try {
    writeMark(path, { generation, bootId: boot, highest });
  } catch (error) {
    // It is written before the next slot is given out, or none is.
    if (!(error instanceof FileError)) throw error;
    log.warn("the highest slot cannot be written down", {
      error: error.message,
    });
  }
}
