/**
 * What the first and last bytes of a zstd layer tell about it (RFC 8878, and the seekable format of
 * zstd's `contrib`). The ztoc format cannot describe zstd, so such a layer gets no ztoc, and the user
 * who asked for an index is told what would help.
 * @module
 */

/** What these bytes of a zstd blob tell. */
export interface ZstdFacts {
  /** Independent frames: with several, the layer could be read lazily. null: not known. */
  readonly frames: number | null;
  /** Bytes of the tar, when it is one frame whose header says its size. */
  readonly tarSizeBytes: number | null;
}

/** Bytes needed from the blob's beginning. */
export const ZSTD_HEAD_BYTES = 18;
/** Bytes needed from its end. */
export const ZSTD_TAIL_BYTES = 9;

const FRAME_MAGIC = 0xfd2fb528;
const SEEK_TABLE_MAGIC = 0x8f92eab1;
/** Set by tools that write zstd:chunked: a frame for each file. */
const CHUNKED_ANNOTATION =
  "io.github.containers.zstd-chunked.manifest-position";

/**
 * Reads these facts.
 * @param head the first `ZSTD_HEAD_BYTES` of the blob, or all if it is shorter.
 * @param tail the last `ZSTD_TAIL_BYTES`.
 */
export function zstdFacts(
  head: Uint8Array,
  tail: Uint8Array,
  annotations: Readonly<Record<string, string>> = {},
): ZstdFacts {
  const frames = seekTableFrames(tail);
  if (frames !== null || CHUNKED_ANNOTATION in annotations) {
    return { frames, tarSizeBytes: null };
  }
  return { frames: null, tarSizeBytes: frameContentSize(head) };
}

function seekTableFrames(tail: Uint8Array): number | null {
  if (tail.length < ZSTD_TAIL_BYTES) return null;
  const view = new DataView(tail.buffer, tail.byteOffset, tail.length);
  return view.getUint32(tail.length - 4, true) === SEEK_TABLE_MAGIC
    ? view.getUint32(tail.length - 9, true)
    : null;
}

/** The content size that the first frame's header states. */
function frameContentSize(head: Uint8Array): number | null {
  if (head.length < 6) return null;
  const view = new DataView(head.buffer, head.byteOffset, head.length);
  if (view.getUint32(0, true) !== FRAME_MAGIC) return null;
  const descriptor = head[4]!;
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const sizeFlag = descriptor >> 6;
  const width = sizeFlag === 0 ? (isSingleSegment ? 1 : 0) : 1 << sizeFlag;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3]!;
  const at = 5 + (isSingleSegment ? 0 : 1) + dictionaryBytes;
  if (width === 0 || at + width > head.length) return null;
  switch (width) {
    case 1:
      return head[at]!;
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

/** Why such a layer gets no ztoc, and what the same tar would be as gzip. */
export function zstdReason(
  { frames, tarSizeBytes }: ZstdFacts,
  annotations: Readonly<Record<string, string>>,
  spanSizeBytes: number,
): string {
  if (frames !== null && frames > 1 || CHUNKED_ANNOTATION in annotations) {
    const many = frames === null ? "many" : String(frames);
    return `zstd of ${many} frames is seekable, but a ztoc has no word for zstd: the layer will be pulled whole`;
  }
  const asGzip = tarSizeBytes === null || tarSizeBytes < spanSizeBytes
    ? "recompressed as gzip it could be read lazily"
    : `recompressed as gzip its ${
      (tarSizeBytes / 1e6).toFixed(1)
    } MB of tar would be about ${
      Math.ceil(tarSizeBytes / spanSizeBytes)
    } spans read lazily`;
  return `zstd is not seekable, the layer will be pulled whole; ${asGzip}`;
}
