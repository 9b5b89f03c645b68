/**
 * The files of a layer's folder that are made once: its ztoc, the tree that is made of it, its diff ID.
 * @module
 */
import { Buffer } from "node:buffer";
import {
  compileTree,
  LayerTree,
  MAX_TREE_BYTES,
  TreeFormatError,
} from "../tree/mod.ts";
import { putOnDisk, readIfThere, writeWhole } from "../../host/files/mod.ts";
import { OsError, readWholeFile } from "../../host/os/mod.ts";
import type { SpanTable, Ztoc } from "../../formats/ztoc/mod.ts";

/** Whether the file holds exactly these bytes. */
export function holds(path: string, bytes: Uint8Array): boolean {
  const found = readIfThere(path);
  return found !== null && Buffer.compare(found, bytes) === 0;
}

/** The tree in a file; null when there is none that can be used. */
export function openTree(path: string): LayerTree | null {
  try {
    return new LayerTree(readWholeFile(path, MAX_TREE_BYTES).slice());
  } catch (error) {
    // Missing, torn or of another version: it is made again from the ztoc.
    if (error instanceof TreeFormatError || error instanceof OsError) {
      return null;
    }
    throw error;
  }
}

/** The file tree of a ztoc, as `LayerTree` reads it. @throws TreeCompileError */
export function compileZtoc(
  { entries, uncompressedSize }: Ztoc,
  spans: SpanTable,
): Uint8Array<ArrayBuffer> {
  return compileTree({
    entries,
    spanStarts: Float64Array.from(
      { length: spans.count },
      (_, span) => spans.start(span),
    ),
    dataSize: uncompressedSize,
  });
}

/** A file of a new layer. */
export interface NewFile {
  /** In the folder. */
  readonly name: string;
  /** All of it. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/**
 * Writes files, each complete or absent under its name, and syncs them and the folder. @throws FileError
 */
export async function saveFiles(
  folder: string,
  files: readonly NewFile[],
): Promise<void> {
  await Promise.all(
    files.map(({ name, bytes }) =>
      writeWhole(`${folder}/${name}`, bytes, { sync: "data" })
    ),
  );
  await putOnDisk(folder);
}
