/** Encodings that can be undone (RFC 9110 §8.4.1). */
const ENCODINGS: ReadonlyMap<string, CompressionFormat> = new Map([
  ["gzip", "gzip"],
  ["x-gzip", "gzip"],
  ["deflate", "deflate"],
]);

/** So much is decompressed at a time, bytes: it may grow a thousandfold. */
const PIECE_BYTES = 4096;

/**
 * How a body was compressed for its way, by its `Content-Encoding`; null if it was not, or in a way
 * that cannot be undone.
 */
export function transferEncoding(
  header: string | null,
): CompressionFormat | null {
  return ENCODINGS.get(header?.trim().toLowerCase() ?? "") ?? null;
}

/** A body as it was before its way. Cancelling it cancels the body. */
export function decoded(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  encoding: CompressionFormat,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const pieces = new TransformStream<
    Uint8Array<ArrayBuffer>,
    Uint8Array<ArrayBuffer>
  >({
    transform(chunk, controller) {
      for (let at = 0; at < chunk.length; at += PIECE_BYTES) {
        controller.enqueue(chunk.subarray(at, at + PIECE_BYTES));
      }
    },
  });
  return body.pipeThrough(pieces).pipeThrough(
    new DecompressionStream(encoding),
  );
}
