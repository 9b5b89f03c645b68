import { writeAll } from "../files/mod.ts";

/** The most bytes of a message: the digests of an image's layers. */
const MAX_LINE_BYTES = 2 ** 20;
const FIRST_BUFFER_BYTES = 4096;

/** The running daemon cannot be taken over from; it was left as it is. */
export class TakeoverError extends Error {
  static {
    this.prototype.name = "TakeoverError";
  }
}

/** What the two sides say. */
export interface Message {
  readonly say:
    | "ask"
    | "willing"
    | "begin"
    | "quiet"
    | "ready"
    | "status"
    | "progress"
    | "expect"
    | "record"
    | "log"
    | "touched"
    | "end";
  readonly protocol?: number;
  readonly pid?: number;
  readonly image?: unknown;
  readonly manifest?: unknown;
  readonly layers?: unknown;
  readonly handed?: unknown;
}

/** One end of the connection: one JSON object per line. */
export class Line implements Disposable {
  readonly #connection: Deno.Conn;
  #buffer = new Uint8Array(FIRST_BUFFER_BYTES);
  #held = 0;

  /** Takes over the connection. */
  constructor(connection: Deno.Conn) {
    this.#connection = connection;
  }

  /** Sends a message. @throws Deno's errors when the other side is gone */
  async say(message: unknown): Promise<void> {
    const bytes = new TextEncoder().encode(`${JSON.stringify(message)}\n`);
    await writeAll(this.#connection, bytes);
  }

  /** The next message; null at the end of the stream. @throws TakeoverError for anything else. */
  async hear(): Promise<Message | null> {
    for (;;) {
      const end = this.#buffer.subarray(0, this.#held).indexOf(0x0a);
      if (end >= 0) {
        const text = new TextDecoder().decode(this.#buffer.subarray(0, end));
        this.#buffer.copyWithin(0, end + 1, this.#held);
        this.#held -= end + 1;
        return JSON.parse(text) as Message;
      }
      if (this.#held === this.#buffer.length) this.#grow();
      const count = await this.#connection.read(
        this.#buffer.subarray(this.#held),
      );
      if (count === null) return null;
      this.#held += count;
    }
  }

  #grow(): void {
    if (this.#held >= MAX_LINE_BYTES) {
      throw new TakeoverError("the other side talks nonsense");
    }
    const larger = new Uint8Array(2 * this.#held);
    larger.set(this.#buffer);
    this.#buffer = larger;
  }

  /** Closes the connection. */
  [Symbol.dispose](): void {
    this.#connection.close();
  }
}

/** A promise that may take so long. @param what for the error. @throws TakeoverError */
export function within<T>(
  ms: number,
  what: string,
  promise: Promise<T>,
): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => late.reject(new TakeoverError(`${what} takes over ${ms / 1000} s`)),
    ms,
  );
  return Promise.race([promise, late.promise])
    .finally(() => clearTimeout(timer));
}
