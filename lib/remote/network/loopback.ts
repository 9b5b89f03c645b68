/** Whether a host name or address is the loopback's. */
export function isLoopback(host: string): boolean {
  const name = host.replace(/:\d+$/, "").toLowerCase();
  return name === "localhost" || name === "[::1]" || name === "::1" ||
    name.endsWith(".localhost") || /^127(?:\.\d{1,3}){3}$/.test(name);
}
