/**
 * The Workers that commands in a Worker may ask the process for. Each has the permissions that are written where it
 * is started, whoever asks.
 * @module
 */
import type { ThreadStarters } from "../lib/host/threads/mod.ts";
import type { Kind, Line } from "./grants.ts";
import { PROXY_VARIABLES } from "./loopback.ts";
import { type Asks, namedHosts } from "./registry_needs.ts";

/** One of them: builds ztocs, or has the network. */
export type ThreadName = keyof typeof KINDS_OF;

/** What the process needs to start each. */
const KINDS_OF = {
  indexer: ["read"], // its modules
  fetcher: ["read", "net"],
} as const satisfies Record<string, readonly Kind[]>;

/** What the process must keep to start them. */
export function kindsOfThreads(names: readonly ThreadName[]): readonly Kind[] {
  return names.flatMap((name) => KINDS_OF[name]);
}

/**
 * What starts them, loaded when it is asked for.
 * @param line the command line.
 * @param asks which hosts the command asks.
 */
export function threadStarters(
  names: readonly ThreadName[],
  line: Line,
  asks: Asks | undefined,
): ThreadStarters {
  const hosts = namedHosts(asks, line);
  const proxies = asks === undefined ? {} : Object.fromEntries(
    PROXY_VARIABLES.flatMap((name) => {
      const value = line.env(name);
      return value === undefined ? [] : [[name, value]];
    }),
  );
  const starters: Record<ThreadName, () => Promise<Worker>> = {
    indexer: async () => {
      const { startIndexer } = await import("../lib/layers/builder/mod.ts");
      return startIndexer();
    },
    fetcher: async () => {
      const { startFetcher } = await import("../lib/remote/registry/mod.ts");
      return startFetcher(hosts, proxies);
    },
  };
  return Object.fromEntries(names.map((name) => [name, starters[name]]));
}
