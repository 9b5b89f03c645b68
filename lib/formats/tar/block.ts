/** A tar is made of blocks of so many bytes; headers begin on one, and data is filled to one. */
export const BLOCK_BYTES = 512;

/** The bytes that so many bytes take in a tar: whole blocks. */
export function wholeBlocks(bytes: number): number {
  return Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES;
}
