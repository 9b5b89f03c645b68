import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { type Digest, sha256 } from "../oci/mod.ts";
import { readFrameHeader } from "../zstd/mod.ts";
import { OrderError } from "./errors.ts";
import type { LoadOrder, PackFrame } from "./model.ts";

/** Uncompressed bytes of a frame, where its ranges can be cut so: it is used when all of it is here. */
export const FRAME_BYTES = 256 * 1024;
/** Slow to make and as fast to read as any other. */
const LEVEL = 19;

/** A frame's bytes with what a plan says of them. */
export interface PackedFrame {
  /** The frame. */
  readonly bytes: Uint8Array;
  /** Of `bytes`. */
  readonly digest: Digest;
}

/** Compresses the bytes of a frame's ranges, one behind the other. */
export function packFrame(content: Uint8Array): PackedFrame {
  // The size makes it one segment that says how long it is. (Node's types do not know it yet.)
  const options = {
    pledgedSrcSize: content.length,
    params: { [constants.ZSTD_c_compressionLevel]: LEVEL },
  };
  const bytes = zstdCompressSync(content, options);
  return { bytes, digest: sha256(bytes) };
}

/**
 * Checks a frame and unpacks it: about 1 ms.
 * @param bytes exactly `frame.compressedLength` of them.
 * @returns `frame.length` bytes: the frame's ranges, one behind the other; see {@link rangesOfFrame}.
 * @throws OrderError, and nothing else.
 */
export function unpackFrame(
  frame: Pick<PackFrame, "digest" | "length">,
  bytes: Uint8Array,
): Uint8Array {
  if (sha256(bytes) !== frame.digest) {
    throw new OrderError("digest", `frame is not ${frame.digest}`);
  }
  const header = readFrameHeader(bytes);
  // One segment, so that no more memory than its content is taken for its window.
  if (
    header?.contentBytes !== frame.length || header.windowBytes > frame.length
  ) {
    throw new OrderError(
      "damaged",
      `frame ${frame.digest} is none of ${frame.length} bytes`,
    );
  }
  let content: Uint8Array;
  try {
    content = zstdDecompressSync(bytes, {
      maxOutputLength: frame.length,
      chunkSize: Math.max(frame.length + 1, 64),
    });
  } catch (cause) {
    throw new OrderError("damaged", `frame ${frame.digest} is no zstd`, {
      cause,
    });
  }
  if (content.length !== frame.length) {
    throw new OrderError(
      "damaged",
      `frame ${frame.digest} gives ${content.length} bytes, not ${frame.length}`,
    );
  }
  return content;
}

/** The bytes of one range, out of its unpacked frame. */
export interface UnpackedRange {
  /** The digest of its layer. */
  readonly layer: Digest;
  /** The first byte in the layer's uncompressed tar. */
  readonly offset: number;
  /** A view of the frame's content. */
  readonly bytes: Uint8Array;
}

/** The ranges of a frame with their bytes, in order. @param content from {@link unpackFrame}. */
export function rangesOfFrame(
  order: LoadOrder,
  frame: PackFrame,
  content: Uint8Array,
): UnpackedRange[] {
  let at = 0;
  return order.ranges
    .slice(frame.firstRange, frame.firstRange + frame.rangeCount)
    .map(({ layer, offset, length }) => ({
      layer: order.layers[layer]!,
      offset,
      bytes: content.subarray(at, at += length),
    }));
}
