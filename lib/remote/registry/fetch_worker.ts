/**
 * The fetch Worker: the one isolate of a command that has the network, and nothing else. It asks the hosts that it
 * was given when it was started and those that these lead to (`fetch_gate.ts`), by HTTP, and follows nothing itself.
 * @module
 */
import { answerThread } from "../../host/threads/mod.ts";
import { Exchange } from "./fetch_exchange.ts";
import { Gate } from "./fetch_gate.ts";
import { hostsOf } from "./fetch_hosts.ts";
import type { Begin, FromFetcher, ToFetcher } from "./fetch_messages.ts";
import { type Network, ownNetwork } from "./network.ts";
import type { Sender } from "./tls.ts";

/** The most requests at a time: far more than any command sends. */
const MAX_EXCHANGES = 256;

let proxies: Readonly<Record<string, string>> = {};
const network: Network = ownNetwork(fetch, (name) => proxies[name]);
let gate = new Gate([], network.lookup);
let hasBegun = false;
const exchanges = new Map<number, Exchange>();
/** One connection pool for each way to use TLS. */
const senders = new Map<string, Sender>();

function senderFor({ tls }: Extract<ToFetcher, { kind: "send" }>): Sender {
  const key = JSON.stringify(tls);
  const known = senders.get(key) ?? network.sender(tls);
  senders.set(key, known);
  return known;
}

async function run(order: Extract<ToFetcher, { kind: "send" }>): Promise<void> {
  const { id } = order;
  if (exchanges.size >= MAX_EXCHANGES) {
    const message = `more than ${MAX_EXCHANGES} requests at a time`;
    return send({ kind: "failed", id, why: "refused", message });
  }
  const exchange = new Exchange(id, send);
  exchanges.set(id, exchange);
  await exchange.run(order, senderFor(order), gate);
  exchanges.delete(id);
}

/** Answers a question; null where it fails. */
async function find(
  id: number,
  answer: Promise<readonly string[]>,
): Promise<void> {
  send({ kind: "found", id, addresses: await answer.catch(() => null) });
}

async function connect(address: string): Promise<readonly string[]> {
  const url = new URL(address);
  const refusal = gate.refusal(url);
  if (refusal !== null) throw new Error(refusal);
  await network.connect(url);
  return [];
}

const send = answerThread<Begin | ToFetcher, FromFetcher>((message) => {
  switch (message.kind) {
    case "begin":
      // Only the first one counts: it comes from whoever started this, before anybody else can send anything.
      if (hasBegun) return;
      hasBegun = true;
      gate = new Gate(hostsOf(message.hosts), network.lookup);
      proxies = message.proxies;
      return;
    case "send":
      return void run(message);
    case "body":
      return exchanges.get(message.id)?.body(message.bytes);
    case "abort":
      return exchanges.get(message.id)?.abort();
    case "lookup":
      return void find(message.id, network.lookup(message.name));
    case "connect":
      return void find(message.id, connect(message.url));
  }
});
