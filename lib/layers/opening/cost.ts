import type { ZtocOutline } from "../../formats/ztoc/mod.ts";

const MiB = 2 ** 20;

/** A ztoc that takes more than this to open is opened in a Worker of its own, one at a time. */
export const LARGE_BYTES = 64 * MiB;
/** What opening any ztoc takes: arrays that begin with some room, code. */
const BASE_BYTES = 4 * MiB;
/** By how much the texts of a ztoc (names, link targets, records) are held at once, at most. */
const TEXT_COPIES = 6;
/** What is held at once of a file beside its texts. */
const FILE_BYTES = 640;

/** Of a file in a tree that is read. */
const TREE_FILE_BYTES = 200;

/** Files and spans of a layer that is opened on the spot, in steps of a few ms each. */
const SMALL_FILES = 1000;
const SMALL_SPANS = 64;

/**
 * The most memory that opening a layer by a ztoc takes: the ztoc itself, a copy of its checkpoints, and
 * some copies of its texts and of what each file takes in trees, tables and images.
 * @param ztocBytes of the whole ztoc.
 */
export function openingBytes(
  ztocBytes: number,
  { entries, checkpointBytes }: ZtocOutline,
): number {
  return BASE_BYTES + ztocBytes + checkpointBytes +
    TEXT_COPIES * (ztocBytes - checkpointBytes) + FILE_BYTES * entries;
}

/** What any ztoc of that size takes, at least. */
export function leastOpeningBytes(ztocBytes: number): number {
  return BASE_BYTES + ztocBytes;
}

/** Files of a chain that are looked at on the spot: their trees are there, and are only read. */
export const SMALL_CHAIN_FILES = 40_000;

/** What looking at trees of so many files together takes. */
export function chainBytes(files: number): number {
  return BASE_BYTES + TREE_FILE_BYTES * files;
}

/** Whether a Worker would take longer to be told than to open it. */
export function isSmall({ entries, spans }: ZtocOutline): boolean {
  return entries <= SMALL_FILES && spans <= SMALL_SPANS;
}
