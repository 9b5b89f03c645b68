/**
 * The files of a layer's folder that are written once: the ztoc, the tree compiled from it, the
 * diff ID.
 * @module
 */
import { Buffer } from "node:buffer";
import {
  LayerTree,
  MAX_TREE_BYTES,
  TREE_REVISION,
  TreeFormatError,
  treeVersion,
} from "../tree/mod.ts";
import { compileTree } from "../compiler/mod.ts";
import {
  Draft,
  FileError,
  putOnDisk,
  readIfThere,
  type SharedRounds,
  writeWhole,
} from "../../host/files/mod.ts";
import {
  closeFd,
  ERRNO,
  O,
  openFd,
  OsError,
  preadFully,
} from "../../host/os/mod.ts";
import { freeBuffer } from "../../host/memory/mod.ts";
import type { SpanTable, ZtocEntry } from "../../formats/ztoc/mod.ts";
import { SLOT_RECORD } from "./slot_files.ts";

/** Whether the file holds exactly these bytes. */
export function holds(path: string, bytes: Uint8Array): boolean {
  const found = readIfThere(path);
  return found !== null && Buffer.compare(found, bytes) === 0;
}

/**
 * Opens the tree in a file; null if there is no usable one.
 * @param revision `current`: only a tree of the current `TREE_REVISION`. `any`: also an older one,
 * because the kernel may know its inode numbers.
 */
export function openTree(
  path: string,
  revision: "current" | "any",
): LayerTree | null {
  try {
    const bytes = readIfThere(path, MAX_TREE_BYTES);
    if (bytes === null) return null;
    const tree = new LayerTree(bytes);
    return revision === "any" || tree.revision === TREE_REVISION ? tree : null;
  } catch (error) {
    // Missing, damaged or of another version: it is compiled again from the ztoc.
    if (error instanceof TreeFormatError || error instanceof FileError) {
      return null;
    }
    throw error;
  }
}

/** The tree in a layer's folder, once it is on disk. @throws Error when it is not there, or not whole. */
export function readTree(folder: string): LayerTree {
  const tree = openTree(`${folder}/tree`, "any");
  if (tree === null) throw new Error(`no file tree in ${folder}`);
  return tree;
}

/**
 * The version of the tree file at `path`; null if there is none, or if it is not a tree file.
 * @throws OsError
 */
export function treeFileVersion(path: string): number | null {
  let fd: number;
  try {
    fd = openFd(path, O.RDONLY);
  } catch (error) {
    if (error instanceof OsError && error.errno === ERRNO.ENOENT) return null;
    throw error;
  }
  try {
    const start = new Uint8Array(8);
    return treeVersion(start.subarray(0, preadFully(fd, start, 0)));
  } finally {
    closeFd(fd);
  }
}

/** Compiles a ztoc into a tree file. @throws TreeCompileError */
export function compileZtoc(
  { entries, uncompressedSize }: {
    readonly entries: Iterable<ZtocEntry>;
    readonly uncompressedSize: number;
  },
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
  /** Its name in the folder. */
  readonly name: string;
  /** Its contents. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Nothing else uses the buffer of `bytes`: its memory is returned once they are written. */
  readonly isSole?: true;
}

/** What is new in a layer's folder. */
export interface NewFiles {
  /** Whether the folder was made just now. */
  readonly isNew: boolean;
  /** To be put on disk. */
  readonly files: readonly NewFile[];
}

/**
 * Files that are made again where they are lost: `slots.db` knows what is in two of them, and the ztoc what is in the
 * tree. Nobody waits until they are on disk. A machine that loses power before then leaves them whole, empty or not at
 * all.
 */
const REMADE: ReadonlySet<string> = new Set(["tree", "diff-id", SLOT_RECORD]);

/** A larger file is synced by itself: small ones would wait for it. */
const SHARED_SYNC_BYTES = 2 ** 20;

/**
 * Writes files, each complete or absent under its name. Resolves when all that are not made again, and their names,
 * are on disk.
 * @param syncs whose rounds they share with files of other folders.
 * @param names when those in the folder are synced: `always`, or only where one is new that is not made again.
 * @throws FileError
 */
export async function saveFiles(
  folder: string,
  files: readonly NewFile[],
  syncs: SaveSyncs,
  names: "always" | "if new" = "if new",
): Promise<void> {
  let isSynced = names === "always";
  const work = files.map(async ({ name, bytes, isSole = false }) => {
    const path = `${folder}/${name}`;
    if (REMADE.has(name)) await writeWhole(path, bytes);
    else {
      isSynced = true;
      using draft = Draft.create(path, { sync: "data" });
      await draft.fill(bytes);
      if (bytes.length > SHARED_SYNC_BYTES) await draft.finish();
      else await syncs.bytes.run(() => draft.finish());
    }
    if (isSole) freeBuffer(bytes.buffer);
  });
  await allEnded(work);
  if (isSynced) await syncs.names.run(() => putOnDisk(folder));
}

/** Resolves when all have; rejects as the first that does, but only when none is under way any more. */
export async function allEnded(
  work: readonly Promise<void>[],
): Promise<void> {
  await Promise.allSettled(work);
  await Promise.all(work);
}

/** Rounds of syncs that many folders share. */
export interface SaveSyncs {
  /** Of files. */
  readonly bytes: SharedRounds;
  /** Of folders. */
  readonly names: SharedRounds;
}
