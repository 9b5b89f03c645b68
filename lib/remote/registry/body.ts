import { decoded, transferEncoding } from "./encoding.ts";

/** The most of a body that is read at once. */
const PIECE_BYTES = 128 * 1024;
/** Longer ones would fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Thrown inside this folder when a body has more bytes than allowed. */
export class BodyTooLarge extends Error {
  override readonly name = "BodyTooLarge";
}

/** Thrown inside this folder when a connection is idle for too long. */
export class IdleTimeout extends Error {
  override readonly name = "IdleTimeout";
}

/**
 * Aborts a request that is idle for too long. There is one timer per request and a time stamp per
 * chunk, because a timer per chunk would mean millions of timers.
 */
export class Watchdog implements Disposable {
  readonly #controller = new AbortController();
  readonly #signal: AbortSignal;
  #last = performance.now();
  #limitMs: number;
  #paused = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #total: ReturnType<typeof setTimeout> | undefined;

  /** @param totalMs the longest that all of it may take. Default: any time. */
  constructor(limitMs: number, outer?: AbortSignal, totalMs = Infinity) {
    this.#limitMs = limitMs;
    if (totalMs <= MAX_TIMER_MS) {
      this.#total = setTimeout(
        () => this.end(`it was not over within ${totalMs} ms`),
        totalMs,
      );
    }
    this.#signal = outer === undefined
      ? this.#controller.signal
      : AbortSignal.any([this.#controller.signal, outer]);
    this.#arm(limitMs);
  }

  /** Aborts when the caller aborts, or when nothing happens within the limit. */
  get signal(): AbortSignal {
    return this.#signal;
  }

  /** Notes that something happened, and may set another limit. */
  touch(limitMs: number = this.#limitMs): void {
    this.#last = performance.now();
    this.#paused = false;
    if (limitMs !== this.#limitMs) clearTimeout(this.#timer);
    else if (this.#timer !== undefined) return;
    this.#limitMs = limitMs;
    this.#arm(limitMs);
  }

  /** Stops the clock while it is our turn: we may take as long as we like. */
  pause(): void {
    this.#paused = true;
  }

  #arm(waitMs: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#paused) return;
      const left = this.#last + this.#limitMs - performance.now();
      if (left > 1) return this.#arm(left);
      this.end(`nothing came for ${this.#limitMs} ms`);
    }, waitMs);
  }

  /** Aborts now. @param why for the error. */
  end(why: string): void {
    this.#controller.abort(new IdleTimeout(why));
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#total);
  }
}

/** An answer whose body is read under its watchdog. Dispose it to free the connection. */
export class Answer implements AsyncDisposable {
  #done = false;
  #body: ReadableStream<Uint8Array<ArrayBuffer>> | null;

  constructor(
    readonly response: Response,
    readonly url: URL,
    private readonly watchdog: Watchdog,
  ) {
    this.#body = response.body;
  }

  /** The HTTP status. */
  get status(): number {
    return this.response.status;
  }

  /** A header's text. */
  header(name: string): string | null {
    return this.response.headers.get(name);
  }

  /**
   * How the body was compressed for its way, although we ask that it is not; null if it was not.
   */
  get encoding(): CompressionFormat | null {
    return transferEncoding(this.header("content-encoding"));
  }

  /**
   * The body, chunk by chunk.
   * @param encoding undone on the way.
   */
  async *chunks(
    encoding: CompressionFormat | null = null,
  ): AsyncGenerator<Uint8Array, void, void> {
    if (encoding !== null && this.#body !== null) {
      this.#body = decoded(this.#body, encoding);
    }
    const body = this.#body;
    if (body !== null) {
      this.watchdog.touch();
      for await (const chunk of body.values({ preventCancel: true })) {
        this.watchdog.pause();
        yield chunk;
        this.watchdog.touch();
      }
    }
    this.#done = true;
  }

  /**
   * The body as it is, in pieces that lie in the same memory: each is overwritten when the next one is asked
   * for. Blobs come in tens of thousands of chunks, and a buffer for each keeps the garbage collector busy.
   */
  async *pieces(): AsyncGenerator<Uint8Array, void, void> {
    const reader = this.#body === null ? null : byteReader(this.#body);
    if (reader === null) return yield* this.chunks();
    let memory = new ArrayBuffer(PIECE_BYTES);
    this.watchdog.touch();
    try {
      for (;;) {
        const { value, done } = await reader.read(new Uint8Array(memory));
        if (done) break;
        memory = value.buffer;
        this.watchdog.pause();
        yield value;
        this.watchdog.touch();
      }
    } finally {
      reader.releaseLock(); // so that disposal can cancel the body
    }
    this.#done = true;
  }

  /**
   * Gives the body on as `pieces` does, each piece for the time of a call: a generator's turns would take a tenth of
   * what the bytes cost.
   * @param take returns whether more is wanted.
   */
  async each(take: (piece: Uint8Array) => boolean): Promise<void> {
    const reader = this.#body === null ? null : byteReader(this.#body);
    if (reader === null) {
      for await (const chunk of this.chunks()) if (!take(chunk)) return;
      return;
    }
    let memory = new ArrayBuffer(PIECE_BYTES);
    try {
      for (;;) {
        this.watchdog.touch();
        const { value, done } = await reader.read(new Uint8Array(memory));
        if (done) break;
        memory = value.buffer;
        if (!take(value)) return;
      }
    } finally {
      reader.releaseLock(); // so that disposal can cancel the body
    }
    this.#done = true;
  }

  /**
   * The whole body, of a document: uncompressed.
   * @throws BodyTooLarge
   */
  async bytes(maxBytes: number): Promise<Uint8Array<ArrayBuffer>> {
    const said = Number(this.header("content-length") ?? 0);
    if (said > maxBytes) throw new BodyTooLarge(`${said} bytes`);
    const parts: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of this.chunks(this.encoding)) {
      size += chunk.length;
      if (size > maxBytes) throw new BodyTooLarge(`over ${maxBytes} bytes`);
      parts.push(chunk);
    }
    const whole = new Uint8Array(size);
    let at = 0;
    for (const part of parts) {
      whole.set(part, at);
      at += part.length;
    }
    return whole;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.watchdog[Symbol.dispose]();
    if (this.#done) return;
    this.#done = true;
    // A broken body cannot be cancelled, and nobody waits for it any more.
    await this.#body?.cancel().catch(() => {});
  }
}

/** The most of an unwanted body that is read to keep its connection. */
const MAX_DRAIN_BYTES = 64 * 1024;

/**
 * Ends an answer nobody wants. A small body is read to its end, so that the connection can be
 * reused.
 */
export async function discard(answer: Answer): Promise<void> {
  await using held = answer;
  try {
    await held.bytes(MAX_DRAIN_BYTES);
  } catch {
    // Too large or broken: disposing of it is enough.
  }
}

/** A reader into memory that is given to it; null where the body is no stream of bytes. */
function byteReader(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
): ReadableStreamBYOBReader | null {
  try {
    return body.getReader({ mode: "byob" });
  } catch (error) {
    if (error instanceof TypeError) return null;
    throw error;
  }
}
