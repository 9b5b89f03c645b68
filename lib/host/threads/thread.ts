import type { Adopted, FromStarter, ToStarter } from "./messages.ts";

/** What comes from a thread. */
export interface ThreadEvents<From> {
  /** It sent something. */
  readonly message: (message: From) => void;
  /** It is gone, or was never there; nothing more comes. */
  readonly broken: (why: string) => void;
}

/**
 * A Worker of this program, wherever it was started. Disposing of it stops it: nothing that it sends comes any more. What
 * it does just then it goes on with (Deno 2.9.6), its own program for some three seconds, a call into libc until that
 * returns. So what it uses by number (a descriptor) is not given away before it has said that it is over.
 */
export interface Thread<To> extends Disposable {
  /** Sends something. What is sent before it runs waits for it. */
  readonly post: (message: To, transfer?: Transferable[]) => void;
  /** Stops it. @returns resolves when it was told, wherever it runs. */
  readonly stop: () => Promise<void>;
}

let elsewhere: Elsewhere | null = null;

/**
 * From now on the threads of this isolate are started by the one at the other end.
 * @param port its other end is given to `serveThreads`.
 */
export function startThreadsElsewhere(port: MessagePort): void {
  elsewhere = new Elsewhere(port);
}

/** A kind of thread. */
export interface ThreadKind {
  /** By which the isolate that starts threads knows it. */
  readonly name: string;
  /** What that isolate is told beside the name, and judges: the path of a file, say. */
  readonly given?: string;
  /** Starts one here, where no other isolate does that. */
  readonly start: () => Worker;
}

/** Starts a thread. */
export function openThread<To, From>(
  kind: ThreadKind,
  events: ThreadEvents<From>,
): Thread<To> {
  return elsewhere?.open(kind, events) ?? openHere(kind, events);
}

function openHere<To, From>(
  { start }: ThreadKind,
  { message, broken }: ThreadEvents<From>,
): Thread<To> {
  const worker = start();
  const adopted: Adopted = { threadPort: null };
  worker.postMessage(adopted);
  worker.onmessage = ({ data }: MessageEvent<From>) => message(data);
  worker.onerror = (event) => {
    event.preventDefault();
    broken(event.message);
  };
  return {
    post: (message, transfer = []) => worker.postMessage(message, transfer),
    stop: () => Promise.resolve(worker.terminate()),
    [Symbol.dispose]: () => worker.terminate(),
  };
}

/** The isolate that starts threads for this one. */
class Elsewhere {
  readonly #port: MessagePort;
  readonly #broken = new Map<number, (why: string) => void>();
  readonly #stopped = new Map<number, PromiseWithResolvers<void>>();
  #nextId = 0;

  constructor(port: MessagePort) {
    this.#port = port;
    port.onmessage = ({ data }: MessageEvent<FromStarter>) => {
      if (data.kind === "broken") return this.#broken.get(data.id)?.(data.why);
      this.#stopped.get(data.id)?.resolve();
      this.#stopped.delete(data.id);
    };
  }

  open<To, From>(
    { name, given }: ThreadKind,
    { message, broken }: ThreadEvents<From>,
  ): Thread<To> {
    const id = this.#nextId++;
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = ({ data }: MessageEvent<From>) => message(data);
    this.#broken.set(id, broken);
    this.#send({ kind: "start", id, name, given: given ?? null, port: port2 }, [
      port2,
    ]);
    const stop = () => {
      if (this.#broken.delete(id)) {
        port1.close();
        this.#stopped.set(id, Promise.withResolvers());
        this.#send({ kind: "stop", id });
      }
      return this.#stopped.get(id)?.promise ?? Promise.resolve();
    };
    return {
      post: (message, transfer = []) => port1.postMessage(message, transfer),
      stop,
      [Symbol.dispose]: () => void stop(),
    };
  }

  #send(message: ToStarter, transfer: Transferable[] = []): void {
    this.#port.postMessage(message, transfer);
  }
}
