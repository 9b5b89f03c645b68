/**
 * Opening a layer by its ztoc: from a list of files to what the layer is served with (tree, table of
 * headers, EROFS image, spans), and what chains of layers show above them. It takes microseconds for each
 * file and some times the memory of the ztoc, and a ztoc comes from somebody else: so all but small ones
 * are opened in Workers, within bounds of memory that are known before any work is done.
 *
 * It may write into the folder of the layer that is opened and the one it is given for a chain, and start
 * Workers. It must not know who uses layers, nor serve them.
 * @module
 */
export { LayerOpener, type OpenerOptions, type OpenOptions } from "./opener.ts";
export { type MadeLayer, makeLayer, type OpeningOrder } from "./make.ts";
export type { ChainOrder, LowerPart, WriteOrder } from "./chain.ts";
export type { WorkersOptions } from "./workers.ts";
export { type Role, startOpener } from "./start.ts";
export { CostlyZtocError, OpeningError } from "./errors.ts";
