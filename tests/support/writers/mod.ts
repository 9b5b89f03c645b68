/**
 * What writes archives and packs them in the field: each as the program itself does it, where it is
 * here, and builders' styles by hand.
 * @module
 */
export { SOURCE_FOLDER, type SourceKind } from "./source.ts";
export { byHand } from "./by_hand.ts";
export { GZIP_WRITERS, type GzipWriter } from "./gzip.ts";
export { TAR_WRITERS, type TarWriter } from "./tar.ts";
