/** Requests to this machine go by no proxy. @module */

/** What says which proxies are used; each exists in small letters, too. */
const NAMES = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"];

/** All variables of the environment that are read and written here. */
export const PROXY_VARIABLES: readonly string[] = [
  ...NAMES,
  ...NAMES.map((name) => name.toLowerCase()),
];

const LOOPBACK = ["localhost", "127.0.0.0/8", "::1"];

/**
 * Adds the loopback to NO_PROXY where there is a proxy at all, as Go's programs do without being told. Deno's fetch
 * reads it with its first request, so this comes before.
 */
export function spareLoopback(): void {
  const [proxies, [none = "NO_PROXY"]] = [NAMES.slice(0, 3), NAMES.slice(3)];
  const read = (name: string) =>
    Deno.env.get(name) || Deno.env.get(name.toLowerCase()) || "";
  if (proxies.every((name) => read(name) === "")) return;
  const given = read(none).split(",").map((one) => one.trim());
  const all = [...given, ...LOOPBACK].filter((one) => one !== "");
  const list = [...new Set(all)].join(",");
  Deno.env.set(none, list);
  Deno.env.set(none.toLowerCase(), list);
}
