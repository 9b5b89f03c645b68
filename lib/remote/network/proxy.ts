/**
 * Which proxy a request goes by, as the environment says. Deno's fetch decides for itself by the same rules; this is
 * for what does not go through it.
 * @module
 */
import type { Socket } from "node:net";
import { isLoopback } from "./loopback.ts";

/** The variables that say it, each also in small letters. */
const NAMES = { "http:": "HTTP_PROXY", "https:": "HTTPS_PROXY" } as const;

/** Reads a variable of the environment. */
export type Variable = (name: string) => string | undefined;

/**
 * The proxy of a request; null: it goes straight to its host. The loopback has none, as in Go.
 * @param get default: this process's environment.
 */
export function proxyOf(
  url: URL,
  get: Variable = (name) => Deno.env.get(name),
): URL | null {
  const read = (name: string) => get(name) || get(name.toLowerCase()) || "";
  const named = read(NAMES[url.protocol as keyof typeof NAMES] ?? "") ||
    read("ALL_PROXY");
  if (named === "" || isLoopback(url.hostname)) return null;
  if (read("NO_PROXY").split(",").some((one) => covers(one.trim(), url))) {
    return null;
  }
  return URL.parse(/^\w+:\/\//.test(named) ? named : `http://${named}`);
}

/** Whether an entry of NO_PROXY covers a host: a name with its subdomains, an address, a network, or all. */
function covers(entry: string, { hostname }: URL): boolean {
  if (entry === "") return false;
  if (entry === "*") return true;
  const host = hostname.replace(/^\[(.*)\]$/, "$1").toLowerCase();
  const name = entry.toLowerCase().replace(/^\*?\./, "")
    .replace(/^\[(.*)\]$/, "$1");
  const [network = "", bits] = name.split("/");
  if (bits !== undefined) return isWithin(host, network, Number(bits));
  return host === name || host.endsWith(`.${name}`);
}

/** Whether an IPv4 address lies in a network. */
function isWithin(host: string, network: string, bits: number): boolean {
  const [address, base] = [host, network].map(ipv4);
  if (address == null || base == null || !(bits >= 0 && bits <= 32)) {
    return false;
  }
  return bits === 0 || address >>> (32 - bits) === base >>> (32 - bits);
}

function ipv4(text: string): number | null {
  const parts = text.split(".").map(Number);
  const isAddress = parts.length === 4 &&
    parts.every((part) => Number.isInteger(part) && part >= 0 && part < 256);
  return isAddress ? parts.reduce((sum, part) => sum * 256 + part, 0) : null;
}

/**
 * A connection to a host through a proxy, by CONNECT.
 * @throws TypeError, as fetch does for a connection that was not made.
 */
export async function connectThrough(
  proxy: URL,
  { hostname, port }: URL,
  signal?: AbortSignal | null,
): Promise<Socket> {
  if (!/^https?:$/.test(proxy.protocol)) {
    throw new TypeError(`a ${proxy.protocol} proxy cannot be used here`);
  }
  const { request } = proxy.protocol === "https:"
    ? await import("node:https")
    : await import("node:http");
  const host = `${hostname}:${port || 443}`;
  const { username, password } = proxy;
  const login = `${decodeURIComponent(username)}:${
    decodeURIComponent(password)
  }`;
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const fail = (cause: unknown) =>
    reject(new TypeError("fetch failed", { cause }));
  const asked = request({
    method: "CONNECT",
    host: proxy.hostname,
    port: proxy.port || (proxy.protocol === "https:" ? 443 : 80),
    path: host,
    headers: {
      host,
      ...(username !== "" && { "proxy-authorization": `Basic ${btoa(login)}` }),
    },
    ...(signal && { signal }),
  });
  asked.on("connect", ({ statusCode }, socket) => {
    if (statusCode === 200) return resolve(socket as Socket);
    socket.destroy();
    fail(new Error(`the proxy ${proxy.host} answers ${statusCode}`));
  });
  asked.on("error", fail);
  asked.end();
  return await promise;
}
