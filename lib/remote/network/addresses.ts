import { isLoopback } from "./loopback.ts";
import type { Lookup } from "./network.ts";

/**
 * Resolves an address that a registry gave. A registry behind a proxy that ends TLS often names
 * itself by plain HTTP. Such an address keeps its host and is asked by HTTPS.
 * @param from what the address is relative to: the request that was answered.
 * @returns null if it is not an HTTP address.
 */
export function givenAddress(location: string | null, from: URL): URL | null {
  const url = location === null ? null : URL.parse(location, from);
  if (url === null || !/^https?:$/.test(url.protocol)) return null;
  // fetch would send user info in an address as credentials.
  url.username = url.password = "";
  if (
    from.protocol === "https:" && url.protocol === "http:" &&
    url.hostname === from.hostname &&
    (url.port === "" || url.port === "443" || url.port === from.port)
  ) {
    url.protocol = "https:";
    url.port = from.port;
  }
  return url;
}

/** Says why a registry may not lead us to an address; null if it may. */
export async function forbiddenLead(
  from: URL,
  to: URL,
  lookup: Lookup,
): Promise<string | null> {
  if (from.protocol === "https:" && to.protocol === "http:") {
    return "from HTTPS to plain HTTP";
  }
  const inner = innerKind(to.hostname);
  return inner === null || await isThere(from, inner, lookup)
    ? null
    : `to ${inner}`;
}

/** Whether a host is this machine, by its address or by what its name resolves to. */
export function isHere(url: URL, lookup: Lookup): Promise<boolean> {
  return isThere(url, HERE, lookup);
}

/** Looks the name up too: it may be a name this machine gave itself. */
async function isThere(
  { hostname }: URL,
  inner: string,
  lookup: Lookup,
): Promise<boolean> {
  if (innerKind(hostname) !== null) return innerKind(hostname) === inner;
  try {
    const found = await lookup(hostname);
    return found.length > 0 &&
      found.every((address) => innerKind(asHost(address)) === inner);
  } catch {
    return false; // a name that cannot be looked up here, as behind a proxy
  }
}

/** An address as it stands in a URL, where each has one form. */
function asHost(address: string): string {
  if (!address.includes(":")) return address;
  return URL.parse(`http://[${address}]/`)?.hostname ?? `[${address}]`;
}

/** The system connects to an IPv4 address inside an IPv6 one as to that address itself. */
function unmapped(hostname: string): string {
  const mapped = /^\[::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})\]$/.exec(hostname);
  if (mapped === null) return hostname;
  const [high, low] = [parseInt(mapped[1]!, 16), parseInt(mapped[2]!, 16)];
  return [high >> 8, high & 255, low >> 8, low & 255].join(".");
}

const HERE = "this machine itself";

/**
 * Names the kind of an address that means something else on every machine; null for all others. A
 * registry elsewhere has nothing there. What is there (a cloud's metadata, a node's own services)
 * must not be reachable through it.
 */
function innerKind(hostname: string): string | null {
  // The URL parser has already brought every spelling of an IPv4 address into one form.
  const name = unmapped(hostname.toLowerCase().replace(/\.$/, ""));
  if (isLoopback(name) || name === "[::]" || /^0\.\d+\.\d+\.\d+$/.test(name)) {
    return HERE;
  }
  if (/^169\.254\./.test(name) || /^\[fe[89ab][0-9a-f]:/.test(name)) {
    return "a link-local address";
  }
  return null;
}

/** IPv4 and IPv6 networks that are somebody's own (RFC 1918, RFC 6598, RFC 4193). */
const PRIVATE =
  /^(?:10\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.|100\.(?:6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.|\[f[cd])/;

/**
 * Says why a registry may not lead us to a host by where its name leads to; null if it may. What {@link
 * forbiddenLead} says of addresses holds for names that stand for them, and a public registry does not lead into a
 * private network either. A name that cannot be looked up is the proxy's matter.
 */
export async function hiddenLead(
  from: URL,
  to: URL,
  lookup: Lookup,
): Promise<string | null> {
  const target = await addressesOf(to, lookup);
  const inner = target.map(innerKind).find((kind) => kind !== null);
  if (inner !== undefined) {
    return await isThere(from, inner!, lookup) ? null : `to ${inner}`;
  }
  if (!target.some((address) => PRIVATE.test(address))) return null;
  const source = await addressesOf(from, lookup);
  const isPublic = source.length > 0 &&
    source.every((address) =>
      !PRIVATE.test(address) && innerKind(address) === null
    );
  return isPublic ? "into a private network" : null;
}

/** As they stand in URLs; empty if the name cannot be looked up. */
async function addressesOf(
  { hostname }: URL,
  lookup: Lookup,
): Promise<string[]> {
  if (hostname.startsWith("[") || /^\d+(\.\d+){3}$/.test(hostname)) {
    return [unmapped(hostname)];
  }
  try {
    return (await lookup(hostname)).map((found) => unmapped(asHost(found)));
  } catch {
    return [];
  }
}
