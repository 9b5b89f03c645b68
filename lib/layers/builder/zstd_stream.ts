/**
 * Decompresses zstd of any number of frames. The platform's decoder silently stops at the end of the
 * first frame, so the stream is cut at frame borders and each frame gets its own decoder.
 * @module
 */
import { Readable } from "node:stream";
import { createZstdDecompress } from "node:zlib";
import {
  type FramePiece,
  FrameWalker,
  ZstdError,
} from "../../formats/zstd/mod.ts";

/**
 * The decompressed bytes of all frames.
 * @throws ZstdError from the stream, or the decoder's own error.
 */
export function decompressZstd(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  return ReadableStream.from(decompressFrames(stream));
}

async function* pieces(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
): AsyncGenerator<FramePiece> {
  const walker = new FrameWalker();
  for await (const chunk of stream) yield* walker.walk(chunk);
  if (!walker.isBetweenFrames) {
    throw new ZstdError(
      "damaged",
      walker.offset,
      "the stream ends inside a frame",
    );
  }
}

async function* decompressFrames(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const source = pieces(stream);
  try {
    for (;;) {
      const first = await source.next();
      if (first.done) return;
      yield* decompressFrame(first.value, source);
    }
  } finally {
    await source.return(undefined);
  }
}

async function* decompressFrame(
  first: FramePiece,
  rest: AsyncGenerator<FramePiece>,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  async function* frame() {
    for (let piece = first;;) {
      yield piece.bytes;
      if (piece.endsFrame) return;
      const next = await rest.next();
      if (next.done) return;
      piece = next.value;
    }
  }
  const input = Readable.from(frame());
  const decoder = createZstdDecompress();
  input.on("error", (error) => decoder.destroy(error));
  input.pipe(decoder);
  for await (const chunk of decoder) yield new Uint8Array(chunk);
}
