/** Bytes of one read: large enough to be cheap, small enough to hold many. */
const READ_BYTES = 256 * 1024;

/** Part of a file as a stream; the file is closed at the end or when the stream is cancelled. */
export async function filePart(
  path: string,
  start: number,
  length: number,
  signal?: AbortSignal,
): Promise<ReadableStream<Uint8Array>> {
  signal?.throwIfAborted();
  const file = await Deno.open(path);
  let left = length;
  try {
    if (start > 0) await file.seek(start, Deno.SeekMode.Start);
  } catch (error) {
    file.close();
    throw error;
  }
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        signal?.throwIfAborted();
        const buffer = new Uint8Array(Math.min(READ_BYTES, left));
        const read = left === 0 ? 0 : await file.read(buffer) ?? 0;
        if (read === 0) {
          file.close();
          controller.close();
          return;
        }
        left -= read;
        controller.enqueue(buffer.subarray(0, read));
      } catch (error) {
        file.close();
        throw error;
      }
    },
    cancel: () => file.close(),
  }, { highWaterMark: 0 });
}
