/** A way to misbehave. All but `redirect` act on the next `times` requests that match. */
export type Fault =
  & {
    /** How many requests it acts on. Default: all until {@link Faults.clear}. */
    times?: number;
    /** What it acts on. Default `blobs`: GET of blobs, also from the redirect target. */
    on?: "blobs" | "manifests" | "uploads" | "all";
  }
  & (
    /** Answers with a status instead: 401, 429, 503… */
    | { kind: "status"; status: number; retryAfter?: string }
    /** Sends this many bytes, then nothing more, and keeps the connection open. */
    | { kind: "stall"; afterBytes: number }
    /** Accepts the request and never answers it. */
    | { kind: "silence" }
    /** Sends this many bytes and breaks the connection. */
    | { kind: "truncate"; afterBytes: number }
    /** Changes the first byte sent. */
    | { kind: "corrupt" }
    /** Sends the whole blob, whatever range is requested. */
    | { kind: "whole" }
    /** Sends another range than requested. */
    | { kind: "shift" }
    /** Sends this many bytes more than there are. */
    | { kind: "extend"; bytes: number }
  );

/** The kind of a request, as faults distinguish it. */
export type Subject = NonNullable<Fault["on"]>;

/** The faults of a running registry; change them at any time. */
export class Faults {
  readonly #active: Array<{ fault: Fault; left: number }> = [];
  /** Requests that a fault acted on so far. */
  taken = 0;

  /** Adds a fault; earlier ones act first. */
  add(fault: Fault): void {
    this.#active.push({ fault, left: fault.times ?? Infinity });
  }

  /** Removes all faults. */
  clear(): void {
    this.#active.length = 0;
  }

  /** The fault for this request. The request counts against its `times`. */
  take(subject: Subject): Fault | null {
    const found = this.#active.find(({ fault, left }) => {
      const on = fault.on ?? "blobs";
      return left > 0 && (on === "all" || on === subject);
    });
    if (found === undefined) return null;
    found.left--;
    this.taken++;
    return found.fault;
  }
}

/** Applies a fault to a body. */
export function spoil(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  fault: Fault | null,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  if (fault?.kind === "corrupt") return body.pipeThrough(flipFirstByte());
  if (fault?.kind === "extend") {
    return body.pipeThrough(
      new TransformStream({
        flush: (controller) => controller.enqueue(new Uint8Array(fault.bytes)),
      }),
    );
  }
  if (fault?.kind === "stall" || fault?.kind === "truncate") {
    return cut(body, fault.afterBytes, fault.kind);
  }
  return body;
}

function flipFirstByte() {
  let first = true;
  return new TransformStream<
    Uint8Array<ArrayBuffer>,
    Uint8Array<ArrayBuffer>
  >({
    transform(chunk, controller) {
      const copy = new Uint8Array(chunk);
      if (first && copy.length > 0) {
        copy[0]! ^= 0xff;
        first = false;
      }
      controller.enqueue(copy);
    },
  });
}

function cut(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  afterBytes: number,
  how: "stall" | "truncate",
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const reader = body.getReader();
  let left = afterBytes;
  return new ReadableStream({
    async pull(controller) {
      if (left <= 0) {
        await reader.cancel();
        if (how === "stall") return await new Promise(() => {});
        // Shorter than its content-length, so the server breaks the connection.
        controller.close();
        return;
      }
      const { value, done } = await reader.read();
      if (done) return controller.close();
      controller.enqueue(value.subarray(0, left));
      left -= value.length;
    },
    cancel: (reason) => reader.cancel(reason),
  }, { highWaterMark: 0 });
}
