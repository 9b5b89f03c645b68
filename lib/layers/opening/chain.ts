import { FolderLower, readTree, writeChain } from "../store/mod.ts";
import {
  chainDirectories,
  decodeChain,
  encodeChain,
  TreeLower,
} from "../tree/mod.ts";

/** A layer below the uppermost one of a chain: the folder of one that is served, or its files. */
export type LowerPart =
  | { readonly layer: string }
  | { readonly files: string };

/** A chain of layers, whose own directories are wanted: see `chainDirectories`. Plain data. */
export interface ChainOrder {
  /** Folder of the uppermost layer, which is served. */
  readonly top: string;
  /** The others, nearest first. */
  readonly below: readonly LowerPart[];
  /** The record of the chain without its uppermost layer; null when that shows nothing of its own. */
  readonly record: string | null;
}

/** Own directories of a chain that are to be made in an empty folder. Plain data. */
export interface WriteOrder {
  /** What `chainRecord` gave. */
  readonly record: string;
  /** Where. */
  readonly folder: string;
}

/**
 * The record of a chain's own directories; null when the layers show all that is right.
 * @throws ChainTooLargeError; Error when a tree cannot be read.
 */
export function chainRecord({ top, below, record }: ChainOrder): string | null {
  const root = chainDirectories(readTree(top), {
    listed: record === null ? null : decodeChain(record),
    lower: below.map((part) =>
      "files" in part
        ? new FolderLower(part.files)
        : new TreeLower(() => readTree(part.layer))
    ),
    root: "container",
  });
  return root === null ? null : encodeChain(root);
}

/** Makes them, on disk when it resolves. @throws OsError, FileError */
export async function writeRecord(
  { record, folder }: WriteOrder,
): Promise<void> {
  await writeChain(decodeChain(record), folder);
}
