import {
  type Reference,
  registryAddress,
} from "../../formats/reference/mod.ts";
import { isLoopback } from "../network/mod.ts";
import { RegistryError } from "./errors.ts";
import type {
  Capability,
  Mirror,
  PlaceOptions,
  RegistryClientOptions,
} from "./options.ts";

/** Where the requests for one repository go. */
export interface Endpoint {
  /** The host as credentials and errors name it. */
  readonly host: string;
  readonly repository: string;
  /** The repository's root, ending in `/`: `https://host/v2/library/redis/`. */
  readonly root: URL;
  /** The query of every request, such as the registry that a mirror stands for. */
  readonly query: Readonly<Record<string, string>>;
  /** How requests are sent, if that is configured. */
  readonly place?: PlaceOptions;
}

type Place = Pick<Reference, "host" | "repository">;
type Placing = Pick<RegistryClientOptions, "plainHttp" | "mirrors" | "hosts">;

/** The endpoint of the registry itself, at its configured address. */
export function originEndpoint(
  { host, repository }: Place,
  { plainHttp, hosts }: Placing,
): Endpoint {
  const server = hosts?.(host)?.server;
  if (server?.url !== undefined) {
    return {
      host,
      repository,
      root: placeRoot({ host, repository }, { ...server, url: server.url }),
      query: {},
      place: server,
    };
  }
  const said = typeof plainHttp === "function" ? plainHttp(host) : plainHttp;
  const scheme = (said ?? isLoopback(host)) ? "http" : "https";
  return {
    host,
    repository,
    root: new URL(`${scheme}://${registryAddress(host)}/v2/${repository}/`),
    query: {},
    ...(server !== undefined && { place: server }),
  };
}

/**
 * Where to write: a mirror that is configured to take pushes, else the registry itself. A mirror
 * without configured capabilities is never written to.
 */
export function writeEndpoint(reference: Place, options: Placing): Endpoint {
  const mirror = options.hosts?.(reference.host)?.mirrors
    .find(({ capabilities }) => capabilities?.includes("push"));
  return mirror === undefined
    ? originEndpoint(reference, options)
    : mirrorEndpoint(reference, mirror);
}

/** The places to read from, in order of preference; the registry itself comes last. */
export function readEndpoints(
  reference: Place,
  options: Placing,
  capability: Capability = "pull",
): Endpoint[] {
  const { host } = reference;
  const mirrors = [
    ...options.hosts?.(host)?.mirrors ?? [],
    ...options.mirrors?.(host) ?? [],
  ].filter(({ capabilities }) => capabilities?.includes(capability) ?? true);
  return [
    ...mirrors.map((mirror) => mirrorEndpoint(reference, mirror)),
    originEndpoint(reference, options),
  ];
}

function mirrorEndpoint(reference: Place, mirror: Mirror): Endpoint {
  const root = placeRoot(reference, mirror);
  return {
    host: root.host,
    repository: reference.repository,
    root,
    query: { ns: reference.host }, // containerd's and Spegel's way to name the origin
    place: mirror,
  };
}

function placeRoot(
  { host, repository }: Place,
  { url, overridePath }: PlaceOptions & { readonly url: string },
): URL {
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
  // As in containerd, `/v2` is not added to an address that already ends in it.
  const prefix = overridePath || path.endsWith("/v2") ? path : `${path}/v2`;
  return new URL(`${prefix}/${repository}/`, base.origin);
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
