import { RingWriter, type WakingOptions } from "../../host/threads/mod.ts";
import type { FromFetcher, ToFetcher } from "./fetch_messages.ts";
import type { Gate } from "./fetch_gate.ts";
import type { Sender } from "./tls.ts";

type Send = Extract<ToFetcher, { kind: "send" }>;
type Tell = (message: FromFetcher, transfer?: Transferable[]) => void;

/** What is read from a connection at once. */
const READ_BYTES = 256 * 1024;

/** A slow answer is passed on as it comes, a fast one in large pieces. */
const WAKING: WakingOptions = { wakeAtBytes: 512 * 1024, lullMs: 2 };

/** One request and its answer, in the fetch Worker. */
export class Exchange {
  readonly #id: number;
  readonly #tell: Tell;
  readonly #abort = new AbortController();
  #bodyCame: ((bytes: Uint8Array<ArrayBuffer> | null) => void) | null = null;

  constructor(id: number, tell: Tell) {
    this.#id = id;
    this.#tell = tell;
  }

  /** Sends the request, then its answer. Never throws. */
  async run(order: Send, sender: Sender, gate: Gate): Promise<void> {
    const id = this.#id;
    const ring = new RingWriter(order.ring, WAKING);
    try {
      const url = new URL(order.url);
      const refusal = gate.refusal(url);
      if (refusal !== null) {
        this.#tell({ kind: "failed", id, why: "refused", message: refusal });
        return;
      }
      const { method, headers, body } = order;
      const { signal } = this.#abort;
      const answer = await sender.fetch(url, {
        method,
        headers: headers.map(([name, value]) => [name, value]),
        redirect: "manual",
        signal,
        ...(body !== "none" &&
          { body: body === "comes" ? this.#requestBody() : body }),
      });
      await gate.learn(url, answer.headers);
      const { status } = answer;
      const hasBody = answer.body !== null;
      const given = [...answer.headers];
      this.#tell({ kind: "head", id, status, headers: given, hasBody });
      if (answer.body !== null) await answerBody(answer.body, ring);
    } catch (error) {
      if (!this.#abort.signal.aborted) {
        const message = innermost(error);
        this.#tell({ kind: "failed", id, why: "network", message });
      }
      ring.break();
    }
  }

  /** The next piece of the request's body; null: it is over. */
  body(bytes: Uint8Array<ArrayBuffer> | null): void {
    this.#bodyCame?.(bytes);
  }

  /** Ends it; nothing more is told. */
  abort(): void {
    this.#abort.abort();
    this.#bodyCame?.(null);
  }

  #requestBody(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return new ReadableStream({
      pull: async (controller) => {
        const { promise, resolve } = Promise.withResolvers<
          Uint8Array<ArrayBuffer> | null
        >();
        this.#bodyCame = resolve;
        this.#tell({ kind: "wants", id: this.#id });
        const bytes = await promise;
        if (bytes === null) controller.close();
        else controller.enqueue(bytes);
      },
    }, { highWaterMark: 0 });
  }
}

/** Passes a body on, as there is room for it, until nobody wants more. */
async function answerBody(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  ring: RingWriter,
): Promise<void> {
  for await (const part of partsOf(body)) {
    if (!await ring.write(part)) return;
  }
  ring.end();
}

/** The parts of a body; each is overwritten when the next one is asked for, where the body allows that. */
async function* partsOf(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, void> {
  let reader: ReadableStreamBYOBReader;
  try {
    reader = body.getReader({ mode: "byob" });
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return yield* body; // no stream of bytes
  }
  let memory = new ArrayBuffer(READ_BYTES);
  try {
    for (;;) {
      const { value, done } = await reader.read(new Uint8Array(memory));
      if (done) return;
      memory = value.buffer;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => {}); // it may be broken: it is over either way
  }
}

/** The runtime wraps the real cause. */
function innermost(error: unknown): string {
  let inner = error;
  while (inner instanceof Error && inner.cause instanceof Error) {
    inner = inner.cause;
  }
  return inner instanceof Error ? inner.message : String(inner);
}
