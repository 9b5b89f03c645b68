/** One object of a watch; a secret has at most a MiB. */
const MAX_LINE_CHARS = 8 * 2 ** 20;

/** The lines of a body as they come. @throws RangeError where one has no end */
export async function* lines(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
): AsyncGenerator<string, void, void> {
  let rest = "";
  for await (const text of body.pipeThrough(new TextDecoderStream())) {
    const parts = `${rest}${text}`.split("\n");
    rest = parts.pop() ?? "";
    for (const line of parts) if (line.trim() !== "") yield line;
    if (rest.length > MAX_LINE_CHARS) throw new RangeError("a line too long");
  }
  if (rest.trim() !== "") yield rest;
}
