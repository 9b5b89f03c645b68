/**
 * What requests to registries go through: this isolate's own network, or, for isolates that have none, another one
 * that does (`FetchedNetwork`). That one asks the hosts that were named when it began and those to which these lead, and
 * nobody else. What a registry may lead to is decided here, too.
 *
 * It knows HTTP, proxies and TLS, and neither registries' interfaces nor logins. It follows no redirect.
 * @module
 */
export { forbiddenLead, givenAddress, isHere } from "./addresses.ts";
export { type Challenge, parseChallenges } from "./challenge.ts";
export { FetchedNetwork, startFetcher } from "./fetch_client.ts";
export { hostsOf, type NamedHosts } from "./fetch_hosts.ts";
export { attendFetches } from "./fetch_service.ts";
export {
  HostRefusedError,
  hostWithPort,
  limitedNetwork,
  withPorts,
} from "./limit.ts";
export { isLoopback } from "./loopback.ts";
export { NearNetwork } from "./near_network.ts";
export { type Lookup, type Network, ownNetwork } from "./network.ts";
export type { Variable } from "./proxy.ts";
export type { Sender, TlsOptions } from "./tls.ts";
export { readyForTls } from "./tls_random.ts";
