import type { Variable } from "./proxy.ts";
import { makeSender, type Sender, type TlsOptions } from "./tls.ts";

/** All addresses of a name. @throws if it cannot be looked up, as behind a proxy */
export type Lookup = (name: string) => Promise<readonly string[]>;

/** What requests go through. */
export interface Network {
  /** Sends requests with these TLS options. */
  readonly sender: (tls: TlsOptions) => Sender;
  /** Looks names up where the requests are sent from. */
  readonly lookup: Lookup;
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
  };
}

/** Asks the system, whose files may name this machine's own names. */
async function lookUp(name: string): Promise<string[]> {
  const { lookup } = await import("node:dns/promises");
  const found = await lookup(name, { all: true });
  return found.map(({ address }) => address);
}
