import { proxyOf, type Variable } from "./proxy.ts";
import { makeSender, type Sender, type TlsOptions } from "./tls.ts";

/** All addresses of a name. @throws if it cannot be looked up, as behind a proxy */
export type Lookup = (name: string) => Promise<readonly string[]>;

/** What requests go through. */
export interface Network {
  /** Sends requests with these TLS options. */
  readonly sender: (tls: TlsOptions) => Sender;
  /** Looks names up where the requests are sent from. */
  readonly lookup: Lookup;
  /**
   * Returns once the host of an address, or the proxy by which it is asked, has taken a connection, which is closed.
   * @throws if it refuses, or may not be asked
   */
  readonly connect: (url: URL) => Promise<void>;
}

/**
 * This isolate's own network.
 * @param base what sends where there are no TLS options.
 * @param variable as `makeSender` wants it.
 */
export function ownNetwork(
  base: typeof fetch = fetch,
  variable?: Variable,
): Network {
  return {
    sender: (tls) => makeSender(tls, base, variable),
    lookup: lookUp,
    connect: (url) => connectTo(proxyOf(url, variable) ?? url),
  };
}

async function connectTo({ hostname, port, protocol }: URL): Promise<void> {
  const connection = await Deno.connect({
    hostname: hostname.replace(/^\[(.*)\]$/, "$1"),
    port: Number(port) || (protocol === "http:" ? 80 : 443),
  });
  connection.close();
}

/** Asks the system, whose files may name this machine's own names. */
async function lookUp(name: string): Promise<string[]> {
  const { lookup } = await import("node:dns/promises");
  const found = await lookup(name, { all: true });
  return found.map(({ address }) => address);
}
