/** What registries are asked through. @module */
import {
  FetchedNetwork,
  hostWithPort,
  limitedNetwork,
  NearNetwork,
  type Network,
  ownNetwork,
} from "../lib/remote/network/mod.ts";
import { fetchesElsewhere, givenHosts } from "./given.ts";

let network: Network | null = null;

/**
 * The network of a command: another isolate's where this one has none, which lasts as long as the command.
 * @param hosts the only ones that this isolate asks; empty: any.
 */
export function registryNetwork(
  hosts: () => readonly string[] = givenHosts,
): Network {
  return fetchesElsewhere()
    ? network ??= new NearNetwork(new FetchedNetwork(), ownNetwork(), isNear)
    : limitedNetwork(ownNetwork(), hosts);
}

/** Whether this isolate may ask a host itself. */
function isNear(url: URL): boolean {
  const { state } = Deno.permissions.querySync({
    name: "net",
    host: hostWithPort(url),
  });
  return state === "granted";
}
