/**
 * What the first and last bytes of a zstd layer tell about it (RFC 8878, and the seekable format of
 * zstd's `contrib`). A layer that is one frame gets no ztoc, and the user who asked for an index is told
 * what would help.
 * @module
 */
import { readFrameHeader } from "../../formats/zstd/mod.ts";

/** What these bytes of a zstd blob tell. */
export interface ZstdFacts {
  /** Independent frames: with several, the layer could be read lazily. null: not known. */
  readonly frames: number | null;
  /** Bytes of the tar, when it is one frame whose header says its size. */
  readonly tarSizeBytes: number | null;
}

/** Bytes needed from its end. */
export const ZSTD_TAIL_BYTES = 9;

const SEEK_TABLE_MAGIC = 0x8f92eab1;
/** Set by tools that write zstd:chunked: a frame for each file. */
const CHUNKED_ANNOTATION =
  "io.github.containers.zstd-chunked.manifest-position";

/**
 * Reads these facts.
 * @param head the first `MAX_FRAME_HEADER_BYTES` of the blob, or all if it is shorter.
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
  return {
    frames: null,
    tarSizeBytes: readFrameHeader(head)?.contentBytes ?? null,
  };
}

function seekTableFrames(tail: Uint8Array): number | null {
  if (tail.length < ZSTD_TAIL_BYTES) return null;
  const view = new DataView(tail.buffer, tail.byteOffset, tail.length);
  return view.getUint32(tail.length - 4, true) === SEEK_TABLE_MAGIC
    ? view.getUint32(tail.length - 9, true)
    : null;
}

/** Why such a layer has no ztoc, and what the same tar would be as gzip. */
export function zstdReason(
  { frames, tarSizeBytes }: ZstdFacts,
  annotations: Readonly<Record<string, string>>,
  spanSizeBytes: number,
): string {
  if (frames !== null && frames > 1 || CHUNKED_ANNOTATION in annotations) {
    const many = frames === null ? "many" : String(frames);
    return `zstd of ${many} frames, and no ztoc: the layer will be pulled whole; build-index makes one where no frame holds over 64 MiB`;
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
