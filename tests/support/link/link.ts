import { COUNTER, type LinkOptions, type LinkReady } from "./messages.ts";

/** A slow line to a server. */
export interface Link extends AsyncDisposable {
  /** `127.0.0.1:<port>`: use it in place of the server's address. */
  readonly host: string;
  /** Payload sent to the client: all that has arrived there, at least. */
  bytes(): number;
  /** Payload sent to the server: all that has arrived there, at least. */
  bytesUp(): number;
  /** Connections accepted so far. */
  connections(): number;
  /** Cuts every connection and stops listening. */
  close(): Promise<void>;
}

/**
 * Puts a link with a limited rate and a delay in front of a TCP server. It runs in a Worker, so
 * that the test cannot slow it down.
 *
 * @example
 * ```ts ignore
 * await using link = await throttle(registry.host, { bitsPerSecond: 100e6, delayMs: 2.5 });
 * ```
 */
export async function throttle(
  target: string,
  options: { bitsPerSecond: number; delayMs: number },
): Promise<Link> {
  const counters = new BigInt64Array(new SharedArrayBuffer(3 * 8));
  const worker = new Worker(new URL("./worker.ts", import.meta.url), {
    type: "module",
  });
  const { port } = await new Promise<LinkReady>((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = (event) => reject(new Error(event.message));
    const link: LinkOptions = { target, ...options };
    worker.postMessage({ options: link, counters });
  });
  const count = (index: number) => Number(Atomics.load(counters, index));
  const close = () => {
    worker.terminate();
    return Promise.resolve();
  };
  return {
    host: `127.0.0.1:${port}`,
    bytes: () => count(COUNTER.toClient),
    bytesUp: () => count(COUNTER.toTarget),
    connections: () => count(COUNTER.connections),
    close,
    [Symbol.asyncDispose]: close,
  };
}
