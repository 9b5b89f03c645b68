/**
 * zstd in frames: where each begins and ends, what its header says, and the content of those that are
 * small enough to be read by themselves. The decoding is the platform's; it stops silently at the end
 * of the first frame, so streams are cut into frames here.
 *
 * Nothing here needs a permission. Frames are untrusted: their number, size, window and content are
 * bounded, whatever their headers say.
 * @module
 */
export {
  decodeHead,
  decodeSpan,
  decodeToEnd,
  FrameDecoder,
  MAX_FRAMES_OF_SPAN,
} from "./decode.ts";
export { ZstdError, type ZstdErrorCode } from "./errors.ts";
export {
  type FrameHeader,
  MAX_FRAME_HEADER_BYTES,
  readFrameHeader,
} from "./header.ts";
export { type FramePiece, FrameWalker } from "./walker.ts";
