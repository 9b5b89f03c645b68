/** The network of commands that have none of their own. @module */
import { FetchedNetwork, type Network } from "../lib/remote/registry/mod.ts";
import { fetchesElsewhere } from "./given.ts";

let network: FetchedNetwork | null = null;

/** What registries are asked by; null: by this isolate itself. It lasts as long as the command. */
export function registryNetwork(): Network | null {
  if (!fetchesElsewhere()) return null;
  return network ??= new FetchedNetwork();
}
