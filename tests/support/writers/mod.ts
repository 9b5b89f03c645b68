/**
 * Writers of archives and of gzip that are used in the field: the programs themselves, if they are
 * installed, and the styles of image builders written by hand.
 * @module
 */
export { SOURCE_FOLDER, type SourceKind } from "./source.ts";
export { byHand } from "./by_hand.ts";
export { GZIP_WRITERS, type GzipWriter } from "./gzip.ts";
export { TAR_WRITERS, type TarWriter } from "./tar.ts";
