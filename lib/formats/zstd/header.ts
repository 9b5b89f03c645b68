/** What a frame begins with, as a little-endian number. */
export const FRAME_MAGIC = 0xfd2fb528;
/** The most bytes of a frame's header, its magic number included. */
export const MAX_FRAME_HEADER_BYTES = 18;

/** What a frame says of itself; nothing of it is proven. */
export interface FrameHeader {
  /** Bytes of content; null where it does not say, or no number of ours holds it. */
  readonly contentBytes: number | null;
  /** Bytes of history that decoding needs. */
  readonly windowBytes: number;
  /** Whether it was made with a dictionary, which nobody has. */
  readonly hasDictionary: boolean;
}

/**
 * Reads a frame's header (RFC 8878, 3.1.1.1).
 * @param bytes the frame's first; `MAX_FRAME_HEADER_BYTES` are enough.
 * @returns null where they begin no frame, or are too few.
 */
export function readFrameHeader(bytes: Uint8Array): FrameHeader | null {
  if (bytes.length < 6) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (view.getUint32(0, true) !== FRAME_MAGIC) return null;
  const descriptor = bytes[4]!;
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const sizeFlag = descriptor >> 6;
  const width = sizeFlag === 0 ? (isSingleSegment ? 1 : 0) : 1 << sizeFlag;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3]!;
  const at = 5 + (isSingleSegment ? 0 : 1) + dictionaryBytes;
  if (at + width > bytes.length) return null;
  const contentBytes = width === 0 ? null : contentSize(view, at, width);
  return {
    contentBytes,
    windowBytes: isSingleSegment
      ? contentBytes ?? Infinity
      : windowSize(bytes[5]!),
    hasDictionary: bytes.subarray(at - dictionaryBytes, at)
      .some((byte) => byte !== 0),
  };
}

function contentSize(view: DataView, at: number, width: number): number | null {
  switch (width) {
    case 1:
      return view.getUint8(at);
    case 2:
      return view.getUint16(at, true) + 256;
    case 4:
      return view.getUint32(at, true);
    default: {
      const size = view.getBigUint64(at, true);
      return size <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(size) : null;
    }
  }
}

function windowSize(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3));
  return base + base / 8 * (descriptor & 7);
}
