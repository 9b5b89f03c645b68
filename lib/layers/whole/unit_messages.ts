/** Messages between the main isolate and a Worker that inflates units of a layer, those of one request at a time. @module */
import type { ComingFiles } from "../builder/mod.ts";

/** Readers of layers that are here go first: what answers them takes little, and at once. */
export const STEPS_BEHIND_READERS = 5;

/** What is behind a tar is padding, and no more than so many bytes. */
export const MAX_TAIL_BYTES = 2 ** 20;

/** One unit. */
export interface UnitWork {
  /** Its number. */
  readonly unit: number;
  /** First and last byte in the blob (exclusive), a byte that is shared with the unit before included. */
  readonly start: number;
  readonly end: number;
  /** High bits of the first byte that belong to it; 0: all. */
  readonly bits: number;
  /** Where its window is in the ztoc's file; -1: it is zeros. */
  readonly window: number;
  /** Its place in the tar. */
  readonly offset: number;
  /** Bytes of it; of the last one as the ztoc has it: more may follow. */
  readonly size: number;
  readonly isLast: boolean;
}

/** Bytes of units that follow each other, and all before the first one that belongs to them. */
export interface UnitsWork {
  /** In order. */
  readonly works: readonly UnitWork[];
  /** Where the bytes begin in the blob. */
  readonly from: number;
  /** They are transferred, and come back with the answer. */
  readonly compressed: Uint8Array<ArrayBuffer>;
}

/** To the Worker: `open` once, then units. */
export type ToInflater =
  | { readonly kind: "open"; readonly files: ComingFiles }
  | { readonly kind: "units"; readonly of: UnitsWork };

/** A unit that is in the file. */
export interface WrittenUnit {
  /** SHA-256 of its bytes in the blob. */
  readonly digest: Uint8Array<ArrayBuffer>;
  /** Bytes of the tar, with all behind it where it is the last one. */
  readonly size: number;
}

/** The answer to units. */
export type FromInflater =
  | {
    readonly kind: "written";
    /** As they were asked for. */
    readonly written: readonly WrittenUnit[];
    /** The memory that came. */
    readonly compressed: Uint8Array<ArrayBuffer>;
  }
  /** They are not what the ztoc says, or the files are of no use. */
  | { readonly kind: "failed"; readonly detail: string };
