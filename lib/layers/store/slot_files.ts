/**
 * What is written of slots beside `slots.db`, so that the database may be lost: in each layer's folder which layer it
 * is, and in one file the highest slot that was ever given.
 * @module
 */
import {
  namesIn,
  readTextIfThere,
  writeWholeSync,
} from "../../host/files/mod.ts";
import { checkedLine, textOfLine } from "./checked_line.ts";
import type { LayerIdentity } from "./identity.ts";

/** In a layer's folder: which layer it is. */
export const SLOT_RECORD = "slot";

/** A layer and its slot, as its folder says it. */
export interface FolderRecord extends LayerIdentity {
  /** The folder's name. */
  readonly slot: number;
}

/** The file `slot` of a layer's folder. */
export function slotRecordBytes(
  { slot, layerDigest, ztocDigest }: FolderRecord,
): Uint8Array<ArrayBuffer> {
  const text = JSON.stringify({ slot, layerDigest, ztocDigest });
  return new TextEncoder().encode(checkedLine(text));
}

/** What the folders below `layersDirectory` say of themselves. @throws FileError */
export function folderRecords(layersDirectory: string): {
  /** Those that can be believed, in order. */
  readonly records: readonly FolderRecord[];
  /** Files that are there and cannot be. */
  readonly damaged: readonly string[];
  /** The highest number that any folder has; 0 where there is none. */
  readonly highest: number;
} {
  const records: FolderRecord[] = [];
  const damaged: string[] = [];
  let highest = 0;
  for (const name of namesIn(layersDirectory)) {
    if (!/^[1-9][0-9]{0,9}$/.test(name)) continue;
    const slot = Number(name);
    highest = Math.max(highest, slot);
    const path = `${layersDirectory}/${name}/${SLOT_RECORD}`;
    const line = readTextIfThere(path);
    if (line === null) continue;
    const record = recordIn(line);
    if (record?.slot === slot) records.push(record);
    else damaged.push(path);
  }
  records.sort((a, b) => a.slot - b.slot);
  return { records, damaged, highest };
}

function recordIn(line: string): FolderRecord | null {
  const text = textOfLine(line);
  // What has its checksum was written here.
  return text === null ? null : JSON.parse(text) as FolderRecord;
}

/** What was given out, as it is known beside the database. */
export interface SlotMark {
  /** Of the database that gave it: another one cannot go on where that stopped. */
  readonly generation: string;
  /** The highest slot ever given. */
  readonly highest: number;
}

/** The file that says the highest slot: null where there is none, `damaged` where it cannot be believed. */
export function readSlotMark(path: string): SlotMark | "damaged" | null {
  const line = readTextIfThere(path);
  if (line === null) return null;
  const text = textOfLine(line);
  return text === null ? "damaged" : JSON.parse(text) as SlotMark;
}

/** Replaces the file. @throws FileError */
export function writeSlotMark(
  path: string,
  { generation, highest }: SlotMark,
): void {
  writeWholeSync(path, checkedLine(JSON.stringify({ generation, highest })));
}
