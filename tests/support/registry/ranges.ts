import { failure } from "./http.ts";

/** How a registry, or the store it leads to, answers a request for a part of a blob. */
export type RangeStyle =
  /** As the specification has it. */
  | { readonly kind: "served" }
  /** 200 and all of the blob. */
  | { readonly kind: "ignored" }
  /** 200, with the part and its `Content-Range`. */
  | { readonly kind: "ok" }
  /** 206 without saying which part. */
  | { readonly kind: "unlabelled" }
  /** 206 in one part of `multipart/byteranges`. */
  | { readonly kind: "multipart" }
  /** 206 with so many bytes more on either side. */
  | { readonly kind: "wider"; readonly bytes: number }
  /** 206 with so many bytes at most. */
  | { readonly kind: "narrower"; readonly bytes: number }
  /** An error. */
  | { readonly kind: "refused"; readonly status: number };

/** The answer of another style than `served`; null where it is served as the specification has it. */
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
