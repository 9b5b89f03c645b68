/**
 * What is written of slots beside `slots.db`, so that the database may be lost: each layer's folder says which layer
 * it is.
 * @module
 */
import {
  checkedLine,
  namesIn,
  putOddOfFolderAside,
  readTextIfThere,
  textOfLine,
} from "../../host/files/mod.ts";

/** In a layer's folder: its row in the slot table. */
export const SLOT_RECORD = "slot";

/** A row of the slot table, by its columns. */
export type SlotRow = Readonly<Record<string, string | number>> & {
  readonly slot: number;
};

/** The file `slot` of a layer's folder. */
export function slotRecordBytes(row: SlotRow): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(checkedLine(JSON.stringify(row)));
}

/**
 * What the folders below `layersDirectory` say of themselves. What is in them and is no file is put aside.
 * @throws FileError
 */
export function folderRecords(layersDirectory: string): {
  /** Those that can be trusted, in order. */
  readonly records: readonly SlotRow[];
  /** Files that are there and cannot be. */
  readonly damaged: readonly string[];
  /** The highest number that any folder has; 0 where there is none. */
  readonly highest: number;
} {
  const records: SlotRow[] = [];
  const damaged: string[] = [];
  let highest = 0;
  for (const name of namesIn(layersDirectory)) {
    if (!/^[1-9][0-9]{0,9}$/.test(name)) continue;
    const slot = Number(name);
    highest = Math.max(highest, slot);
    putOddOfFolderAside(`${layersDirectory}/${name}`);
    const path = `${layersDirectory}/${name}/${SLOT_RECORD}`;
    const line = readTextIfThere(path);
    // Empty: the machine lost power before it was on disk.
    if (line === null || line === "") continue;
    const text = textOfLine(line);
    // What has its checksum was written here.
    const row = text === null ? null : JSON.parse(text) as SlotRow;
    if (row?.slot === slot) records.push(row);
    else damaged.push(path);
  }
  records.sort((a, b) => a.slot - b.slot);
  return { records, damaged, highest };
}
