/**
 * What commands in a Worker may ask the process for: Workers, and a network. Each Worker has the permissions that are
 * written where it is started, whoever asks.
 * @module
 */
import type { ThreadStarters } from "../lib/host/threads/mod.ts";
import type { Kind, Line } from "./grants.ts";
import { PROXY_VARIABLES } from "./loopback.ts";
import { type Asks, namedHosts } from "./registry_needs.ts";

/** What serves layers below a root. */
export const LAYER_THREADS = [
  ...["FUSE server", "EROFS probe", "inflater", "layer hasher"] as const,
  ...["opener of layers", "opener of chains"] as const,
  ...["tar writer", "unit inflater"] as const,
] as const;

/** One of them: builds ztocs, has the network, or serves layers. */
export type ThreadName =
  | "indexer"
  | "fetcher"
  | typeof LAYER_THREADS[number];

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
  const ofNetwork = async () => {
    const network = await import("../lib/remote/network/mod.ts");
    const isPlain = line.has("plain-http") ||
      network.hostsOf(hosts).every(network.isLoopback);
    if (!isPlain) network.readyForTls(); // while what asks is loaded
    return network;
  };
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
  const root = () => line.root(); // found out before, where there is one
  const starters: Record<
    ThreadName,
    (given: string | null) => Promise<Worker>
  > = {
    "FUSE server": async () => {
      const { startFuseServer } = await import("../lib/layers/fs/mod.ts");
      return startFuseServer();
    },
    "EROFS probe": async () => {
      const { startProbeServer } = await import("../lib/layers/faces/mod.ts");
      return startProbeServer();
    },
    "inflater": async () => {
      const { startInflater } = await import("../lib/layers/spans/mod.ts");
      return startInflater();
    },
    "layer hasher": async (given) => {
      const path = fileBelow(root(), given);
      const { startHasher } = await import("../lib/layers/spans/mod.ts");
      return startHasher(path);
    },
    "opener of layers": async () => {
      const { startOpener } = await import("../lib/layers/opening/mod.ts");
      return startOpener("layers", root());
    },
    "opener of chains": async () => {
      const { startOpener } = await import("../lib/layers/opening/mod.ts");
      return startOpener("chains", root());
    },
    "tar writer": async () => {
      const { startTarWriter } = await import("../lib/layers/whole/mod.ts");
      return startTarWriter(`${root()}/ingest`);
    },
    "unit inflater": async () => {
      const { startUnitInflater } = await import("../lib/layers/whole/mod.ts");
      return startUnitInflater(`${root()}/ingest`);
    },
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
    kinds: [...kept(names)],
  };
}

/** What the process must keep: it reads their modules, and gives them no more than it has. */
function kept(names: readonly ThreadName[]): Set<Kind> {
  const kinds = new Set<Kind>(["read"]);
  if (names.includes("fetcher")) kinds.add("net");
  if (names.includes("FUSE server")) kinds.add("write").add("ffi");
  return kinds;
}

/** Whoever asks for a thread may say which file of the root it reads, and no other. @throws Error */
function fileBelow(root: string, given: string | null): string {
  const real = given === null ? "" : Deno.realPathSync(given);
  if (given !== real || !real.startsWith(`${root}/`)) {
    throw new Error("what it is to read is no file of the root");
  }
  return given;
}
