import type { Network } from "./network.ts";
import type { Sender, TlsOptions } from "./tls.ts";

/** Answers this long show that a host gives content itself. */
const CONTENT_BYTES = 2 ** 20;

/**
 * The network of an isolate that may ask a few hosts itself, and all others through another isolate. Bytes that come
 * through that one cost twice as much, so hosts that were seen to give content themselves are asked from here.
 *
 * Whatever such a host leads to, it has to tell the other isolate, which believes nobody else: an answer that leads
 * anywhere is asked for there once more.
 */
export class NearNetwork implements Network {
  readonly #far: Network;
  readonly #near: Network;
  readonly #mayAsk: (url: URL) => boolean;
  /** Origins that gave content, and have led nowhere since. */
  readonly #giving = new Set<string>();

  /**
   * Asks nobody yet.
   * @param far asks any host.
   * @param near asks those for which `mayAsk` is true.
   */
  constructor(far: Network, near: Network, mayAsk: (url: URL) => boolean) {
    this.#far = far;
    this.#near = near;
    this.#mayAsk = mayAsk;
  }

  /** As `Network` says. */
  sender(tls: TlsOptions): Sender {
    const far = this.#far.sender(tls);
    // Made when it is used: it reads certificates.
    let near: Sender | null = null;
    return {
      fetch: async (input, init) => {
        const url = new URL(input instanceof Request ? input.url : input);
        const isGet = (init?.method ?? "GET") === "GET";
        // Connections that trust anybody are Node's, which costs more to load than it saves.
        if (tls.skipVerify === true || !isGet) {
          return await far.fetch(input, init);
        }
        if (this.#giving.has(url.origin)) {
          near ??= this.#near.sender(tls);
          const answer = await near.fetch(input, {
            ...init,
            redirect: "manual",
          });
          if (!leads(answer)) return answer;
          this.#giving.delete(url.origin);
          await answer.body?.cancel();
        }
        const answer = await far.fetch(input, init);
        if (
          answer.ok && !leads(answer) && this.#mayAsk(url) &&
          Number(answer.headers.get("content-length")) >= CONTENT_BYTES
        ) this.#giving.add(url.origin);
        return answer;
      },
      [Symbol.dispose]: () => {
        far[Symbol.dispose]();
        near?.[Symbol.dispose]();
      },
    };
  }

  /** As `Network` says. */
  readonly lookup = (name: string): Promise<readonly string[]> =>
    this.#far.lookup(name);

  /** As `Network` says. */
  readonly connect = (url: URL): Promise<void> => this.#far.connect(url);
}

/** Whether an answer names another address, to go on or to log in. */
function leads({ status, headers }: Response): boolean {
  return (status >= 300 && status < 400) || headers.has("location") ||
    headers.has("www-authenticate");
}
