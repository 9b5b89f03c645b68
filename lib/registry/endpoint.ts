import { RegistryError } from "./errors.ts";
import type { RegistryClientOptions } from "./options.ts";
import type { Reference } from "./reference.ts";

/** Where the requests for one repository go. */
export interface Endpoint {
  /** The host as credentials and errors name it. */
  readonly host: string;
  readonly repository: string;
  /** The repository's root, ending in `/`: `https://host/v2/library/redis/`. */
  readonly root: URL;
  /** The query every request carries, such as the registry a mirror is asked for. */
  readonly query: Readonly<Record<string, string>>;
}

/** Whether a host is this machine. */
export function isLoopback(host: string): boolean {
  const name = host.replace(/:\d+$/, "").toLowerCase();
  return name === "localhost" || name === "[::1]" || name === "::1" ||
    name.endsWith(".localhost") || /^127(?:\.\d{1,3}){3}$/.test(name);
}

/** The registry of a reference itself: the only place that is written to. */
export function originEndpoint(
  { host, repository }: Pick<Reference, "host" | "repository">,
  { plainHttp }: Pick<RegistryClientOptions, "plainHttp">,
): Endpoint {
  const said = typeof plainHttp === "function" ? plainHttp(host) : plainHttp;
  const scheme = (said ?? isLoopback(host)) ? "http" : "https";
  // The name in references is not where Docker Hub answers.
  const address = host === "docker.io" ? "registry-1.docker.io" : host;
  return {
    host,
    repository,
    root: new URL(`${scheme}://${address}/v2/${repository}/`),
    query: {},
  };
}

/** The places to read from, the preferred first, the registry itself last. */
export function readEndpoints(
  reference: Pick<Reference, "host" | "repository">,
  options: Pick<RegistryClientOptions, "plainHttp" | "mirrors">,
): Endpoint[] {
  const { host, repository } = reference;
  const mirrors = (options.mirrors?.(host) ?? []).map(({ url }): Endpoint => {
    const base = URL.parse(url);
    if (base === null || !/^https?:$/.test(base.protocol)) {
      throw new RegistryError({
        kind: "protocol",
        host,
        repository,
        detail: `the mirror address "${url}" is no http or https URL`,
      });
    }
    const path = base.pathname.replace(/\/+$/, "");
    return {
      host: base.host,
      repository,
      root: new URL(`${path}/v2/${repository}/`, base.origin),
      query: { ns: host }, // containerd's and Spegel's way to name the origin
    };
  });
  return [...mirrors, originEndpoint(reference, options)];
}

/** The address of something in the repository. */
export function endpointUrl(
  { root, query }: Endpoint,
  path: string,
  parameters: Readonly<Record<string, string>> = {},
): URL {
  const url = new URL(path, root);
  for (const [key, value] of Object.entries({ ...query, ...parameters })) {
    url.searchParams.set(key, value);
  }
  return url;
}
