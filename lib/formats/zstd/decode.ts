import { constants, zstdDecompressSync } from "node:zlib";
import { ZstdError } from "./errors.ts";
import { MAX_FRAME_HEADER_BYTES, readFrameHeader } from "./header.ts";
import { type FramePiece, FrameWalker } from "./walker.ts";

/** The largest window that is decoded: what `zstd --long` uses, and what decoders take unasked. */
const MAX_WINDOW_LOG = 27;
/** The most frames in one span: each takes some 30 microseconds, however little it holds. */
export const MAX_FRAMES_OF_SPAN = 16_384;
/** Output is taken in chunks: one is zeroed for every frame, however little comes of it. */
const MAX_CHUNK_BYTES = 256 * 1024;
const MIN_CHUNK_BYTES = 1024;
/** What is expected of a frame that does not say how much it holds. */
const EXPANSION = 16;

/** One chunk that holds so much, and a byte to spare: a full one would ask for another. */
function chunkOf(bytes: number): number {
  return Math.min(Math.max(bytes + 1, MIN_CHUNK_BYTES), MAX_CHUNK_BYTES);
}

/** Collects a frame from its pieces, and decodes it. One frame after another. */
export class FrameDecoder {
  readonly #maxBytes: number;
  #pieces: Uint8Array[] = [];
  #bytes = 0;
  #isChecked = false;

  /** No frame yet. @param maxBytes the most of one frame, compressed and not. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /**
   * Takes a frame's next bytes.
   * @returns the frame's content with its last bytes, before that null.
   * @throws ZstdError
   */
  push({ bytes, endsFrame, end }: FramePiece): Uint8Array | null {
    this.#pieces.push(bytes);
    this.#bytes += bytes.length;
    const start = end - this.#bytes;
    if (this.#bytes > this.#maxBytes) {
      throw new ZstdError(
        "not-seekable",
        start,
        `a frame of over ${this.#maxBytes} bytes`,
      );
    }
    if (!this.#isChecked) this.#check(start, endsFrame);
    if (!endsFrame) return null;
    const frame = this.#join(this.#bytes);
    this.#pieces = [];
    this.#bytes = 0;
    this.#isChecked = false;
    return this.#decode(frame, start);
  }

  /** What the frame gives whose end has not come: as much as its bytes so far hold. @throws ZstdError */
  partly(): Uint8Array {
    if (!this.#isChecked) return new Uint8Array(0);
    return this.#decode(this.#join(this.#bytes), 0);
  }

  /** The frame's first bytes. */
  #join(length: number): Uint8Array {
    const joined = new Uint8Array(length);
    let at = 0;
    for (const piece of this.#pieces) {
      const part = piece.subarray(0, length - at);
      joined.set(part, at);
      at += part.length;
    }
    return joined;
  }

  /** Looks at the header as soon as it is here: a frame of no use need not come to its end. */
  #check(start: number, isWhole: boolean): void {
    const header = readFrameHeader(
      this.#join(Math.min(this.#bytes, MAX_FRAME_HEADER_BYTES)),
    );
    if (header === null) {
      if (!isWhole) return; // not all here
      throw new ZstdError("damaged", start, "a frame of no known form");
    }
    this.#isChecked = true;
    if (header.hasDictionary) {
      throw new ZstdError("not-seekable", start, "it needs a dictionary");
    }
    if ((header.contentBytes ?? 0) > this.#maxBytes) {
      throw new ZstdError(
        "not-seekable",
        start,
        `a frame of ${header.contentBytes} bytes, over ${this.#maxBytes}`,
      );
    }
    if (header.windowBytes > 2 ** MAX_WINDOW_LOG) {
      throw new ZstdError(
        "too-large",
        start,
        `a frame with a window of ${header.windowBytes} bytes`,
      );
    }
  }

  #decode(frame: Uint8Array, start: number): Uint8Array {
    const said = readFrameHeader(frame)?.contentBytes;
    try {
      return zstdDecompressSync(frame, {
        maxOutputLength: this.#maxBytes,
        chunkSize: chunkOf(said ?? EXPANSION * frame.length),
        params: { [constants.ZSTD_d_windowLogMax]: MAX_WINDOW_LOG },
      });
    } catch (error) {
      const tooLarge =
        (error as { code?: string }).code === "ERR_BUFFER_TOO_LARGE";
      throw new ZstdError(
        tooLarge ? "not-seekable" : "damaged",
        start,
        tooLarge ? `a frame of over ${this.#maxBytes} bytes` : String(error),
      );
    }
  }
}

/**
 * Decodes a span of whole frames.
 * @param maxBytes the most of one frame, compressed and not.
 * @returns the first `size` bytes of what they hold.
 * @throws ZstdError when there are fewer, or the frames are none.
 */
export function decodeSpan(
  compressed: Uint8Array,
  size: number,
  maxBytes: number,
): Uint8Array<ArrayBuffer> {
  const whole = decodeToEnd(compressed, size, maxBytes);
  if (whole.length < size) {
    throw new ZstdError(
      "damaged",
      compressed.length,
      `the span gives ${whole.length} bytes, not ${size}`,
    );
  }
  return whole;
}

/** As {@link decodeSpan}, of whatever size up to `size`. @throws ZstdError */
export function decodeToEnd(
  compressed: Uint8Array,
  size: number,
  maxBytes: number,
): Uint8Array<ArrayBuffer> {
  return decode(compressed, size, maxBytes, "all of it");
}

/** What the first bytes of a span give, as far as they go, up to `size`. @throws ZstdError */
export function decodeHead(
  compressed: Uint8Array,
  size: number,
  maxBytes: number,
): Uint8Array<ArrayBuffer> {
  return decode(compressed, size, maxBytes, "its head");
}

function decode(
  compressed: Uint8Array,
  size: number,
  maxBytes: number,
  what: "all of it" | "its head",
): Uint8Array<ArrayBuffer> {
  const walker = new FrameWalker();
  const decoder = new FrameDecoder(maxBytes);
  const contents: Uint8Array[] = [];
  let bytes = 0;
  let frames = 0;
  for (const piece of walker.walk(compressed)) {
    const content = decoder.push(piece);
    if (content === null) continue;
    if (++frames > MAX_FRAMES_OF_SPAN) {
      throw new ZstdError("too-large", piece.end, "a span of too many frames");
    }
    contents.push(content);
    bytes += content.length;
    if (bytes >= size) break; // what follows is behind the tar's end
  }
  if (bytes < size && what === "its head") {
    contents.push(decoder.partly());
    bytes += contents.at(-1)!.length;
  } else if (bytes < size && !walker.isBetweenFrames) {
    throw new ZstdError("damaged", walker.offset, "the span ends in a frame");
  }
  const whole = new Uint8Array(Math.min(bytes, size));
  let at = 0;
  for (const content of contents) {
    const part = content.subarray(0, whole.length - at);
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
