/**
 * What commands in a Worker may ask the process for: Workers, and a network. Each Worker has the permissions that are
 * written where it is started, whoever asks.
 * @module
 */
import type { ThreadStarters } from "../lib/host/threads/mod.ts";
import type { Kind, Line } from "./grants.ts";
import { PROXY_VARIABLES } from "./loopback.ts";
import { type Asks, namedHosts } from "./registry_needs.ts";

/** One of them: builds ztocs, or has the network. */
export type ThreadName = "indexer" | "fetcher";

/** What the process has ready for its command. */
export interface ReadyThreads {
  readonly starters: ThreadStarters;
  /** What the process must keep for them. */
  readonly kinds: readonly Kind[];
}

/**
 * Makes ready what a command may ask for.
 * @param line the command line.
 * @param asks which hosts the command asks.
 * @param only the only ones that are asked; empty: any.
 */
export async function readyThreads(
  names: readonly ThreadName[],
  line: Line,
  asks: Asks | undefined,
  only: readonly string[],
): Promise<ReadyThreads> {
  if (names.length === 0) return { starters: {}, kinds: [] };
  const hosts = namedHosts(asks, line);
  const proxies = asks === undefined ? {} : Object.fromEntries(
    PROXY_VARIABLES.flatMap((name) => {
      const value = line.env(name);
      return value === undefined ? [] : [[name, value]];
    }),
  );
  const ofNetwork = () => import("../lib/remote/network/mod.ts");
  if (names.length === 1 && names[0] === "fetcher" && only.length === 0) {
    // A process with nothing else to start keeps the network alone, and asks itself: a Worker would cost more than
    // all that it does. What it runs is loaded now, because it cannot read any more then.
    const { attendFetches } = await ofNetwork();
    return {
      starters: {
        fetcher: () => Promise.resolve(attendFetches(hosts, proxies)),
      },
      kinds: ["net"],
    };
  }
  const starters: Record<ThreadName, () => Promise<Worker>> = {
    indexer: async () => {
      const { startIndexer } = await import("../lib/layers/builder/mod.ts");
      return startIndexer();
    },
    fetcher: async () => {
      const { startFetcher } = await ofNetwork();
      return startFetcher(hosts, proxies, only);
    },
  };
  return {
    starters: Object.fromEntries(names.map((name) => [name, starters[name]])),
    kinds: names.includes("fetcher") ? ["read", "net"] : ["read"], // their modules
  };
}
