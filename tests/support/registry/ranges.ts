import { failure } from "./http.ts";

/** How a registry, or the storage it redirects to, answers a range request. */
export type RangeStyle =
  /** As specified. */
  | { readonly kind: "served" }
  /** 200 with the whole blob. */
  | { readonly kind: "ignored" }
  /** 200, with the part and its `Content-Range`. */
  | { readonly kind: "ok" }
  /** 206 without saying which part. */
  | { readonly kind: "unlabelled" }
  /** 206 as `multipart/byteranges` with one part. */
  | { readonly kind: "multipart" }
  /** 206 with this many more bytes on either side. */
  | { readonly kind: "wider"; readonly bytes: number }
  /** 206 with at most this many bytes. */
  | { readonly kind: "narrower"; readonly bytes: number }
  /** An error status. */
  | { readonly kind: "refused"; readonly status: number };

/** The answer in another style than `served`; null if it must be served as specified. */
export async function oddRange(
  style: RangeStyle,
  { start, end }: { readonly start: number; readonly end: number },
  size: number,
  read: (
    start: number,
    end: number,
  ) => Promise<ReadableStream<Uint8Array<ArrayBuffer>>>,
): Promise<Response | null> {
  const part = async (
    status: number,
    from: number,
    to: number,
    headers: Record<string, string>,
  ) => {
    const body = await read(from, to);
    return new Response(body, {
      status,
      headers: { "content-length": String(to - from), ...headers },
    });
  };
  const range = (from: number, to: number) => ({
    "content-range": `bytes ${from}-${to - 1}/${size}`,
  });
  switch (style.kind) {
    case "served":
      return null;
    case "ignored":
      return await part(200, 0, size, {});
    case "ok":
      return await part(200, start, end, range(start, end));
    case "unlabelled":
      return await part(206, start, end, {});
    case "wider": {
      const from = Math.max(0, start - style.bytes);
      const to = Math.min(size, end + style.bytes);
      return await part(206, from, to, range(from, to));
    }
    case "narrower": {
      const to = Math.min(end, start + style.bytes);
      return await part(206, start, to, range(start, to));
    }
    case "multipart": {
      const bytes = await new Response(await read(start, end)).bytes();
      const head = `--b\r\ncontent-range: ${
        range(start, end)["content-range"]
      }\r\n\r\n`;
      return new Response(new Blob([head, bytes, "\r\n--b--\r\n"]), {
        status: 206,
        headers: { "content-type": "multipart/byteranges; boundary=b" },
      });
    }
    case "refused":
      return failure(style.status, "RANGE_REFUSED");
  }
}
