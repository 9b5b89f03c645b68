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

/** Files, spans and texts of a layer that is opened on the spot, in steps of a few ms each. */
const SMALL_FILES = 1000;
const SMALL_SPANS = 64;
/** The same, while little is opened: this thread runs code that V8 has compiled, a new Worker does not. */
const MEDIUM_FILES = 8192;
const MEDIUM_SPANS = 512;
const MEDIUM_TEXT_BYTES = 4 * MiB;
/** What the compressed head of a ztoc takes for a file, about. */
const HEAD_BYTES_OF_FILE = 20;
/** A ztoc of which nothing else is known and that is larger than this may have many files. */
const MEDIUM_ZTOC_BYTES = 2 * MiB;

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

/**
 * Where a layer is opened: `small`: on the spot, as a Worker would take longer to be told than to open it. `medium`: on
 * the spot if not too many are. `large`: in a Worker.
 */
export type OpeningSize = "small" | "medium" | "large";

/** How much it is to open a layer by a ztoc. @param ztocBytes of the whole ztoc. */
export function sizeOf(
  ztocBytes: number,
  { entries, spans, checkpointBytes }: ZtocOutline,
): OpeningSize {
  if (entries <= SMALL_FILES && spans <= SMALL_SPANS) return "small";
  const textBytes = ztocBytes - checkpointBytes;
  return entries <= MEDIUM_FILES && spans <= MEDIUM_SPANS &&
      textBytes <= MEDIUM_TEXT_BYTES
    ? "medium"
    : "large";
}

/** Whether a layer whose ztoc is on its way is likely to be large. @param headBytes of its compressed head, if known. */
export function mayBeLarge(
  ztocBytes: number,
  headBytes: number | null,
): boolean {
  return headBytes === null
    ? ztocBytes > MEDIUM_ZTOC_BYTES
    : headBytes > MEDIUM_FILES * HEAD_BYTES_OF_FILE;
}
