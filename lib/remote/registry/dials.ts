import type { Network } from "../network/mod.ts";
/** Whether hosts take connections. @module */

/** So long after an answer there is a connection. */
const CONNECTED_MS = 60_000;
/** The part of the limit after which a host that has not answered is asked for a connection of its own. */
const PATIENCE = 1 / 3;
/** Hosts that are remembered. */
const MAX_ORIGINS = 1024;

/** A request that may still be connecting. Its disposal ends the watch. */
interface Dial extends Disposable {
  /** The host has answered. */
  answered(): void;
}

/**
 * Ends requests to hosts that take no connection. The runtime's fetch does not tell connecting from waiting for an
 * answer. So a host that is silent for a while is asked for a second connection beside the first: a host that
 * works never sees one.
 */
export class Dials {
  /** When each origin answered last, by `performance.now()`. */
  readonly #answeredMs = new Map<string, number>();
  readonly #network: Pick<Network, "connect">;

  /** @param network what the requests go through. */
  constructor(network: Pick<Network, "connect">) {
    this.#network = network;
  }

  /**
   * Watches one request.
   * @param limitMs how long a connection may take. Default: any time.
   * @param end called with the reason when there is none by then.
   */
  begin(
    url: URL,
    limitMs = Infinity,
    end: (why: string) => void,
  ): Dial {
    const { origin } = url;
    const last = this.#answeredMs.get(origin) ?? -Infinity;
    const connected = performance.now() - last < CONNECTED_MS;
    let late: ReturnType<typeof setTimeout> | undefined;
    const probe = () => {
      late = setTimeout(
        () => end(`no connection within ${limitMs} ms`),
        limitMs * (1 - PATIENCE),
      );
      const stop = () => clearTimeout(late); // where it is refused, the request itself tells
      this.#network.connect(url).then(stop, stop);
    };
    const timer = connected || !Number.isFinite(limitMs)
      ? undefined
      : setTimeout(probe, limitMs * PATIENCE);
    return {
      answered: () => {
        this.#answeredMs.delete(origin);
        this.#answeredMs.set(origin, performance.now());
        const [oldest] = this.#answeredMs.keys();
        if (this.#answeredMs.size > MAX_ORIGINS) {
          this.#answeredMs.delete(oldest!);
        }
      },
      [Symbol.dispose]: () => {
        clearTimeout(timer);
        clearTimeout(late);
      },
    };
  }
}
