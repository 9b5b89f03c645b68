/**
 * Walks the headers of a tar stream and tells where every file's bytes lie.
 *
 * Lazy loading needs exact offsets into the uncompressed tar, and the fields exactly as Go's
 * `archive/tar` gives them, because the existing tools write those into their indexes. So this is one
 * pass over chunks of any size, ustar, PAX, GNU and old STAR headers alike; file data is skipped, never
 * copied. PAX global headers and volume labels are skipped, as in containerd. Entries that cannot be
 * indexed (sparse files, other vendor types) are refused by a {@link TarError} that names the place.
 * @module
 */
export { BLOCK_BYTES, wholeBlocks } from "./block.ts";
export {
  MAX_PATH_BYTES,
  type TarEntry,
  type TarEntryType,
  type TarTime,
  TYPE_FLAG,
} from "./entry.ts";
export { TarError, type TarErrorCode } from "./errors.ts";
export { isSparseKey } from "./pax.ts";
export {
  assertPassedOver,
  parseHeader,
  TarWalker,
  type TarWalkerOptions,
} from "./walker.ts";
