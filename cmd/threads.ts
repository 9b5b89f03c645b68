/**
 * The Workers that commands in a Worker may ask the process for. Each has the permissions that are written where it
 * is started, whoever asks.
 * @module
 */
import type { ThreadStarters } from "../lib/host/threads/mod.ts";
import type { Kind } from "./grants.ts";

/** One of them. */
export type ThreadName = keyof typeof THREADS;

/** What starts each, loaded when it is asked for; and what the process needs for that. */
const THREADS = {
  indexer: {
    kinds: ["read"], // its modules
    start: async () => {
      const { startIndexer } = await import("../lib/layers/builder/mod.ts");
      return startIndexer();
    },
  },
} as const satisfies Record<
  string,
  { readonly kinds: readonly Kind[]; readonly start: () => Promise<Worker> }
>;

/** What the process must keep to start them. */
export function kindsOfThreads(names: readonly ThreadName[]): readonly Kind[] {
  return names.flatMap((name) => THREADS[name].kinds);
}

/** What starts them. */
export function threadStarters(names: readonly ThreadName[]): ThreadStarters {
  return Object.fromEntries(names.map((name) => [name, THREADS[name].start]));
}
