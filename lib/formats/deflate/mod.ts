/**
 * Inflate with checkpoints: reads gzip once to learn where it can be entered, and later inflates any
 * span from such a place.
 *
 * A *checkpoint* is a position in the compressed stream at a deflate block border, with the 32 KiB
 * of output before it. The decoding itself is a Wasm kernel (`kernel/inflate.as.ts`, made into
 * `kernel.gen.ts` by `deno task build:kernel`); hostile input stays inside its memory. Nothing here
 * needs a permission.
 * @module
 */
/** The history that inflating from a checkpoint needs, in bytes: as far as deflate looks back. */
export { WINDOW_BYTES } from "./engine.ts";
export { DeflateError, type DeflateErrorCode } from "./errors.ts";
export {
  type Checkpoint,
  GzipIndexer,
  type GzipIndexerOptions,
} from "./indexer.ts";
export { SpanInflater } from "./inflater.ts";
export { WINDOW_USE_BYTES, WindowUse } from "./window_use.ts";
