import type { Attendant } from "../../host/threads/mod.ts";
import { Exchange } from "./fetch_exchange.ts";
import { Gate } from "./fetch_gate.ts";
import { hostsOf, type NamedHosts } from "./fetch_hosts.ts";
import type { Begin, FromFetcher, ToFetcher } from "./fetch_messages.ts";
import { type Network, ownNetwork } from "./network.ts";
import type { Sender } from "./tls.ts";

/** The most requests at a time: far more than any command sends. */
const MAX_EXCHANGES = 256;

/**
 * Asks by HTTP for code that has no network, where there is one. It asks the hosts that it was given when it began
 * and those that these lead to (`fetch_gate.ts`), and follows nothing itself.
 */
export class FetchService implements Disposable {
  readonly #tell: (message: FromFetcher, transfer?: Transferable[]) => void;
  readonly #network: Network;
  readonly #gate: Gate;
  readonly #exchanges = new Map<number, Exchange>();
  /** One connection pool for each way to use TLS. */
  readonly #senders = new Map<string, Sender>();

  /**
   * Begins.
   * @param tell sends an answer.
   */
  constructor(
    tell: (message: FromFetcher, transfer?: Transferable[]) => void,
    { hosts, only, proxies }: Omit<Begin, "kind">,
  ) {
    this.#tell = tell;
    this.#network = ownNetwork(fetch, (name) => proxies[name]);
    this.#gate = new Gate(hostsOf(hosts), this.#network.lookup, only);
  }

  /** Takes a request. Never throws. */
  receive(message: ToFetcher): void {
    switch (message.kind) {
      case "send":
        return void this.#run(message);
      case "body":
        return this.#exchanges.get(message.id)?.body(message.bytes);
      case "abort":
        return this.#exchanges.get(message.id)?.abort();
      case "lookup":
        return void this.#find(
          message.id,
          () => this.#network.lookup(message.name),
        );
      case "connect":
        return void this.#find(message.id, () => this.#connect(message.url));
    }
  }

  async #run(order: Extract<ToFetcher, { kind: "send" }>): Promise<void> {
    const { id } = order;
    if (this.#exchanges.size >= MAX_EXCHANGES) {
      const message = `more than ${MAX_EXCHANGES} requests at a time`;
      return this.#tell({ kind: "failed", id, why: "refused", message });
    }
    const exchange = new Exchange(id, this.#tell);
    this.#exchanges.set(id, exchange);
    await exchange.run(order, this.#sender(order), this.#gate);
    this.#exchanges.delete(id);
  }

  #sender({ tls }: Extract<ToFetcher, { kind: "send" }>): Sender {
    const key = JSON.stringify(tls);
    const known = this.#senders.get(key) ?? this.#network.sender(tls);
    this.#senders.set(key, known);
    return known;
  }

  /** Answers a question; null where it fails. */
  async #find(
    id: number,
    answer: () => Promise<readonly string[]>,
  ): Promise<void> {
    const addresses = await answer().catch(() => null);
    this.#tell({ kind: "found", id, addresses });
  }

  async #connect(address: string): Promise<readonly string[]> {
    const url = new URL(address);
    const refusal = this.#gate.refusal(url);
    if (refusal !== null) throw new Error(refusal);
    await this.#network.connect(url);
    return [];
  }

  /** Ends all requests; nothing more is told of them. */
  [Symbol.dispose](): void {
    for (const exchange of this.#exchanges.values()) exchange.abort();
    for (const sender of this.#senders.values()) sender[Symbol.dispose]();
  }
}

/**
 * A fetch service in this isolate, for another one that has no network.
 * @param hosts the ones that are named to it.
 * @param proxies the variables of the environment that name proxies.
 */
export function attendFetches(
  hosts: NamedHosts,
  proxies: Readonly<Record<string, string>>,
): Attendant {
  let stop = () => {};
  return {
    attend: (port) => {
      const service = new FetchService(
        (message, transfer = []) => port.postMessage(message, transfer),
        { hosts, proxies, only: [] },
      );
      port.onmessage = ({ data }: MessageEvent<ToFetcher>) =>
        service.receive(data);
      stop = () => {
        port.close();
        service[Symbol.dispose]();
      };
    },
    [Symbol.dispose]: () => stop(),
  };
}
