/** Limits of the hosts that are asked, as `[network] hosts` says them. @module */
import type { Network } from "./network.ts";

/** A host is not asked, whoever wants it. */
export class HostRefusedError extends Error {
  static {
    this.prototype.name = "HostRefusedError";
  }
}

/** The ports by which a host without one is asked. */
const PORTS = { "http:": "80", "https:": "443" } as const;

/** Hosts with ports, as permissions and comparisons take them. @param hosts `host` or `host:port` */
export function withPorts(hosts: readonly string[]): string[] {
  return hosts.map((host) => host.toLowerCase()).flatMap((host) =>
    /:\d+$/.test(host)
      ? [host]
      : Object.values(PORTS).map((port) => `${host}:${port}`)
  );
}

/** The host of an address with its port, as permissions and comparisons take it. */
export function hostWithPort({ protocol, hostname, port }: URL): string {
  return `${hostname}:${
    port || (protocol === "http:" ? PORTS["http:"] : PORTS["https:"])
  }`;
}

/** Why an address is not asked; null if it is. @param hosts the only ones that are; empty: any */
export function beyondLimit(
  url: URL,
  hosts: readonly string[],
): string | null {
  if (hosts.length === 0) return null;
  const host = hostWithPort(url);
  return withPorts(hosts).includes(host)
    ? null
    : `${host} is not among [network] hosts of the configuration`;
}

/**
 * A network that asks only some hosts.
 * @param hosts says which; empty: any. Asked with each request, because a configuration may be reloaded.
 */
export function limitedNetwork(
  network: Network,
  hosts: () => readonly string[],
): Network {
  const check = (url: URL) => {
    const why = beyondLimit(url, hosts());
    if (why !== null) throw new HostRefusedError(why);
  };
  return {
    sender: (tls) => {
      const sender = network.sender(tls);
      return {
        fetch: async (input, init) => {
          check(new URL(input instanceof Request ? input.url : input));
          return await sender.fetch(input, init);
        },
        [Symbol.dispose]: () => sender[Symbol.dispose](),
      };
    },
    lookup: network.lookup,
    connect: async (url) => {
      check(url);
      await network.connect(url);
    },
  };
}
