import {
  openThread,
  renewRing,
  type RingMemory,
  ringMemory,
  RingReader,
  type Thread,
} from "../../host/threads/mod.ts";
import type { NamedHosts } from "./fetch_hosts.ts";
import type { Begin, FromFetcher, ToFetcher } from "./fetch_messages.ts";
import { HostRefusedError, withPorts } from "./limit.ts";
import type { Network } from "./network.ts";
import type { Sender, TlsOptions } from "./tls.ts";

/**
 * Starts a fetch Worker: it has the network and nothing else.
 * @param hosts the ones that are named to it.
 * @param proxies the variables of the environment that name proxies.
 * @param only the hosts that its permission is for; empty: any.
 */
export function startFetcher(
  hosts: NamedHosts,
  proxies: Readonly<Record<string, string>> = {},
  only: readonly string[] = [],
): Worker {
  const net = only.length === 0 || withPorts(only);
  const worker = new Worker(new URL("./fetch_worker.ts", import.meta.url), {
    type: "module",
    deno: { permissions: { net } },
  });
  const begin: Begin = { kind: "begin", hosts, only, proxies };
  worker.postMessage(begin);
  return worker;
}

/** So much of a body is read ahead of whoever reads it. A power of two. */
const AHEAD_BYTES = 2 ** 20;
/** Rings that wait for the next request, at most. */
const MAX_SPARE = 16;
/** The most bytes of a body that are given at once. */
const PIECE_BYTES = 256 * 1024;

/** What happens to one request. */
interface Waiting {
  readonly head: (
    head: Extract<FromFetcher, { kind: "head" }>,
  ) => void;
  readonly wants: () => void;
  readonly failed: (error: unknown) => void;
  /** The Worker itself is gone. */
  readonly gone: (error: unknown) => void;
}

/** The network of an isolate that has none: a fetch Worker has it. */
export class FetchedNetwork implements Network, Disposable {
  readonly #thread: Thread<ToFetcher>;
  readonly #waiting = new Map<number, Waiting>();
  readonly #looking = new Map<
    number,
    PromiseWithResolvers<readonly string[]>
  >();
  readonly #spare: RingMemory[] = [];
  #nextId = 0;
  #fault: string | null = null;

  /** Starts the Worker. @param hosts where this isolate has to start it itself. */
  constructor(hosts: NamedHosts = { images: [], places: [] }) {
    this.#thread = openThread<ToFetcher, FromFetcher>(
      { name: "fetcher", start: () => startFetcher(hosts) },
      {
        message: (message) => this.#receive(message),
        broken: (why) => this.#end(why),
      },
    );
  }

  /** As `Network` says; the connections are the Worker's, so there is nothing to dispose of. */
  sender(tls: TlsOptions): Sender {
    const sent: typeof fetch = (input, init) => this.#send(tls, input, init);
    return { fetch: sent, [Symbol.dispose]() {} };
  }

  /** As `Network` says. */
  readonly lookup = (name: string): Promise<readonly string[]> =>
    this.#ask((id) => ({ kind: "lookup", id, name }));

  /** As `Network` says. */
  readonly connect = async ({ href }: URL): Promise<void> => {
    await this.#ask((id) => ({ kind: "connect", id, url: href }));
  };

  #ask(question: (id: number) => ToFetcher): Promise<readonly string[]> {
    const id = this.#begin();
    const found = Promise.withResolvers<readonly string[]>();
    this.#looking.set(id, found);
    this.#thread.post(question(id));
    return found.promise;
  }

  #begin(): number {
    if (this.#fault !== null) throw this.#gone(this.#fault);
    return this.#nextId++;
  }

  #gone(why: string): Error {
    return new Error(`the Worker that has the network ended: ${why}`);
  }

  async #send(
    tls: TlsOptions,
    input: string | URL | Request,
    init: RequestInit = {},
  ): Promise<Response> {
    const { method = "GET", headers, body = null, signal } = init;
    signal?.throwIfAborted();
    const id = this.#begin();
    const whole = body instanceof Uint8Array
      ? new Uint8Array(body) // sent again after a refusal
      : null;
    const stream = body instanceof ReadableStream ? body.getReader() : null;
    const answer = Promise.withResolvers<Response>();
    const ring = this.#spare.pop() ?? ringMemory(AHEAD_BYTES);
    const over = () => {
      this.#waiting.delete(id);
      signal?.removeEventListener("abort", abort);
    };
    const reading = new Reading(ring, {
      ended: () => {
        over();
        this.#keep(ring);
      },
      cancelled: () => {
        this.#thread.post({ kind: "abort", id });
        over();
      },
    });
    const end = (error: unknown) => {
      over();
      answer.reject(error);
      reading.fail(error);
      stream?.cancel(error).catch(() => {}); // its own error came here already
    };
    const abort = () => {
      this.#thread.post({ kind: "abort", id });
      end(signal!.reason);
      reading.stop();
    };
    signal?.addEventListener("abort", abort, { once: true });
    this.#waiting.set(id, {
      head: ({ status, headers, hasBody }) => {
        const given = new Headers(headers.map(([n, v]) => [n, v]));
        const content = hasBody ? reading.stream() : null;
        answer.resolve(new Response(content, { status, headers: given }));
        if (hasBody) return;
        over();
        this.#keep(ring); // nothing is written to it
      },
      wants: async () => {
        try {
          const { value, done } = await stream!.read();
          const bytes = done ? null : (value as Uint8Array).slice();
          this.#thread.post(
            { kind: "body", id, bytes },
            bytes === null ? [] : [bytes.buffer],
          );
        } catch (error) {
          this.#thread.post({ kind: "abort", id });
          end(error);
          reading.stop();
        }
      },
      failed: end,
      gone: (error) => {
        end(error);
        reading.stop();
      },
    });
    this.#thread.post({
      ...{ kind: "send", id, method, tls, ring },
      url: String(input instanceof Request ? input.url : input),
      headers: [...new Headers(headers)],
      body: whole ?? (stream === null ? "none" : "comes"),
    }, whole === null ? [] : [whole.buffer]);
    return await answer.promise;
  }

  /** Keeps a ring that neither end uses any more. */
  #keep(ring: RingMemory): void {
    if (this.#spare.length >= MAX_SPARE) return;
    renewRing(ring);
    this.#spare.push(ring);
  }

  #receive(message: FromFetcher): void {
    const { id } = message;
    const waiting = this.#waiting.get(id);
    switch (message.kind) {
      case "head":
        return waiting?.head(message);
      case "wants":
        return waiting?.wants();
      case "failed":
        return waiting?.failed(
          message.why === "refused"
            ? new HostRefusedError(message.message)
            : new TypeError("fetch failed", {
              cause: new Error(message.message),
            }),
        );
      case "found": {
        const found = this.#looking.get(id);
        this.#looking.delete(id);
        if (message.addresses !== null) found?.resolve(message.addresses);
        else found?.reject(new Error("nothing is there"));
      }
    }
  }

  #end(why: string): void {
    this.#fault = why;
    const error = this.#gone(why);
    for (const { gone } of [...this.#waiting.values()]) gone(error);
    for (const { reject } of this.#looking.values()) reject(error);
    this.#looking.clear();
  }

  /** Stops the Worker; requests in progress never settle. */
  [Symbol.dispose](): void {
    this.#thread[Symbol.dispose]();
  }
}

/** The body of an answer, as its bytes come. */
class Reading {
  readonly #ring: RingReader;
  readonly #on: { readonly ended: () => void; readonly cancelled: () => void };
  readonly #failed = Promise.withResolvers<never>();

  /** `on.ended`: all was read; `on.cancelled`: nobody wants the rest. */
  constructor(
    ring: RingMemory,
    on: { readonly ended: () => void; readonly cancelled: () => void },
  ) {
    this.#ring = new RingReader(ring);
    this.#on = on;
    this.#failed.promise.catch(() => {}); // told where it is read
  }

  /** What is in the ring is still read, unless nobody else can end it. */
  fail(error: unknown): void {
    this.#failed.reject(error);
  }

  /** No more is read. */
  stop(): void {
    this.#ring.stop();
  }

  /** A stream of bytes, which also fills memory that is given to it. */
  stream(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return new ReadableStream({
      type: "bytes",
      pull: async (controller) => {
        const count = await this.#ring.come();
        const request = controller.byobRequest;
        if (count === "ended") {
          this.#on.ended();
          controller.close();
          request?.respond(0);
        } else if (typeof count === "string") {
          await this.#failed.promise;
        } else if (request?.view == null) {
          const bytes = new Uint8Array(Math.min(count, PIECE_BYTES));
          this.#ring.take(bytes);
          controller.enqueue(bytes);
        } else {
          const { buffer, byteOffset, byteLength } = request.view;
          const room = Math.min(count, byteLength);
          this.#ring.take(new Uint8Array(buffer, byteOffset, room));
          request.respond(room);
        }
      },
      cancel: () => {
        this.#ring.stop();
        this.#on.cancelled();
      },
    });
  }
}
