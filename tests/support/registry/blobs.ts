import type { Digest } from "../../../lib/formats/oci/mod.ts";
import { type Fault, spoil } from "./faults.ts";
import { failure, type LogEntry } from "./http.ts";
import { oddRange, type RangeStyle } from "./ranges.ts";
import type { Store } from "./store.ts";

/** Answers GET and HEAD of a blob, with single ranges. Counts the bytes sent. */
export async function serveBlob(
  store: Store,
  digest: Digest,
  request: Request,
  { entry, fault, ranges }: {
    readonly entry: LogEntry;
    readonly fault: Fault | null;
    readonly ranges: RangeStyle;
  },
): Promise<Response> {
  const { size } = await Deno.stat(store.blobFile(digest));
  const asked = request.headers.get("range");
  const range = fault?.kind === "whole"
    ? { start: 0, end: size, partial: false }
    : readRange(asked, size);
  if (asked !== null && range?.partial === true) {
    const read = (start: number, end: number) => store.read(digest, start, end);
    const odd = await oddRange(ranges, range, size, read);
    if (odd !== null && odd.body !== null) {
      return counted(new Response(spoil(odd.body, fault), odd), entry);
    }
  }
  if (range === null) {
    return failure(416, "RANGE_INVALID", {
      "content-range": `bytes */${size}`,
    });
  }
  const { start, end, partial } = range;
  const shown = fault?.kind === "shift" ? start + 1 : start;
  const headers = {
    "content-type": "application/octet-stream",
    "content-length": String(
      end - start + (fault?.kind === "extend" ? fault.bytes : 0),
    ),
    "accept-ranges": "bytes",
    "docker-content-digest": digest,
    ...(partial && { "content-range": `bytes ${shown}-${end - 1}/${size}` }),
  };
  const status = partial ? 206 : 200;
  if (request.method === "HEAD") return new Response(null, { status, headers });
  const body = spoil(await store.read(digest, start, end), fault);
  return counted(new Response(body, { status, headers }), entry);
}

/** The same answer, with its bytes counted as they are sent. */
function counted(answer: Response, entry: LogEntry): Response {
  const count = new TransformStream<
    Uint8Array<ArrayBuffer>,
    Uint8Array<ArrayBuffer>
  >({
    transform(chunk, controller) {
      entry.bytes += chunk.length;
      controller.enqueue(chunk);
    },
  });
  const { status, headers, body } = answer;
  return new Response(body?.pipeThrough(count) ?? null, { status, headers });
}

function readRange(
  header: string | null,
  size: number,
): { start: number; end: number; partial: boolean } | null {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? "");
  if (match === null || (match[1] === "" && match[2] === "")) {
    return { start: 0, end: size, partial: false };
  }
  const [, first = "", last = ""] = match;
  const start = first === "" ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === "" || last === ""
    ? size
    : Math.min(size, Number(last) + 1);
  return start < end ? { start, end, partial: true } : null;
}
