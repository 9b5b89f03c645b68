/**
 * The ztoc: what one layer holds and where its stream can be entered.
 *
 * A ztoc lists every file of a layer with its offset in the uncompressed tar, and cuts the layer into
 * spans, each with a digest and, for gzip, the state needed to inflate from there; spans of zstd are
 * whole frames. `decodeZtoc` reads
 * one from an untrusted place; `encodeZtoc` writes the same bytes as the existing tools;
 * `spanTable` answers where spans lie;
 * `openZtoc` reads one file by file, for where a list of them all would be too large;
 * {@link ZtocBuilder} makes a ztoc in one pass over a layer.
 * @module
 */
export {
  type BuiltZtoc,
  type EncodedZtoc,
  type LayerDigests,
  PLACEHOLDER_NAME,
  ZtocBuilder,
  type ZtocBuilderOptions,
} from "./builder.ts";
export type { KnownSpans } from "./known_pass.ts";
export { type CheckpointPlaces, readPlaces, type ZtocFile } from "./places.ts";
export type { WindowBytes } from "./gzip_pass.ts";
export {
  decodeCheckpoints,
  decodeTarSpans,
  encodeTarSpans,
  type GzipCheckpoints,
  type TarSpans,
  type ZtocCheckpoint,
} from "./checkpoints.ts";
export { decodeZtoc, type OpenZtoc, openZtoc, ztocOutline } from "./decode.ts";
export { decodeFrameSpans, type FrameSpans } from "./frame_spans.ts";
export { encodeZtoc } from "./encode.ts";
export { ZtocError, type ZtocErrorCode } from "./errors.ts";
export { formatModTime, parseModTime } from "./mod_time.ts";
export {
  BUILD_TOOL,
  DEFAULT_SPAN_SIZE_BYTES,
  MAX_SPAN_BYTES,
  MAX_ZTOC_BYTES,
  type Ztoc,
  ZTOC_VERSION,
  type ZtocCompression,
  type ZtocEntry,
  type ZtocHead,
  type ZtocOutline,
} from "./model.ts";
export { joinZtoc, splitZtoc, windowBytes, type ZtocParts } from "./parts.ts";
export { buffersOf, type SpanFacts, spanFacts } from "./span_facts.ts";
export { openSpans, type SpanTable, spanTable } from "./span_table.ts";
export { buffersOfWindows, type WindowFacts } from "./windows.ts";
