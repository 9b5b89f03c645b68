import type { FromStarter, ToStarter } from "./messages.ts";

/** What comes from a thread. */
export interface ThreadEvents<From> {
  /** It sent something. */
  readonly message: (message: From) => void;
  /** It is gone, or was never there; nothing more comes. */
  readonly broken: (why: string) => void;
}

/** A Worker of this program, wherever it was started. Disposing of it stops it. */
export interface Thread<To> extends Disposable {
  /** Sends something. What is sent before it runs waits for it. */
  readonly post: (message: To, transfer?: Transferable[]) => void;
}

let elsewhere: Elsewhere | null = null;

/**
 * From now on the threads of this isolate are started by the one at the other end.
 * @param port its other end is given to `serveThreads`.
 */
export function startThreadsElsewhere(port: MessagePort): void {
  elsewhere = new Elsewhere(port);
}

/**
 * Starts a thread.
 * @param name the one by which the isolate that starts threads knows it.
 * @param start starts it here, where no other isolate does that.
 */
export function openThread<To, From>(
  name: string,
  start: () => Worker,
  events: ThreadEvents<From>,
): Thread<To> {
  return elsewhere?.open(name, events) ?? openHere(start, events);
}

function openHere<To, From>(
  start: () => Worker,
  { message, broken }: ThreadEvents<From>,
): Thread<To> {
  const worker = start();
  worker.onmessage = ({ data }: MessageEvent<From>) => message(data);
  worker.onerror = (event) => {
    event.preventDefault();
    broken(event.message);
  };
  return {
    post: (message, transfer = []) => worker.postMessage(message, transfer),
    [Symbol.dispose]: () => worker.terminate(),
  };
}

/** The isolate that starts threads for this one. */
class Elsewhere {
  readonly #port: MessagePort;
  readonly #broken = new Map<number, (why: string) => void>();
  #nextId = 0;

  constructor(port: MessagePort) {
    this.#port = port;
    port.onmessage = ({ data: { id, why } }: MessageEvent<FromStarter>) =>
      this.#broken.get(id)?.(why);
  }

  open<To, From>(
    name: string,
    { message, broken }: ThreadEvents<From>,
  ): Thread<To> {
    const id = this.#nextId++;
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = ({ data }: MessageEvent<From>) => message(data);
    this.#broken.set(id, broken);
    this.#send({ kind: "start", id, name, port: port2 }, [port2]);
    return {
      post: (message, transfer = []) => port1.postMessage(message, transfer),
      [Symbol.dispose]: () => {
        if (!this.#broken.delete(id)) return;
        port1.close();
        this.#send({ kind: "stop", id });
      },
    };
  }

  #send(message: ToStarter, transfer: Transferable[] = []): void {
    this.#port.postMessage(message, transfer);
  }
}
