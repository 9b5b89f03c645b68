/** The tree both servers show: `d<0…499>/f<0…99>` of 100 bytes each, and `big`. @module */

export const DIRECTORIES = 500;
export const FILES_PER_DIRECTORY = 100;
/** Bytes of each small file. */
export const SMALL_BYTES = 100;
/** Bytes of `big`. */
export const BIG_BYTES = 512 * 2 ** 20;
/** The baseline's nodeid of `big`. */
export const BIG_NODE = 900_000;

/** What the baseline's Worker is told. */
export interface BaselineStart {
  readonly fd: number;
  readonly bigFd: number;
  readonly bigBytes: number;
}
