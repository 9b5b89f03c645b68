/** Where containerd reads its configuration. */
export const CONTAINERD_CONFIG = "/etc/containerd/config.toml";
const DEFAULT_SOCKET = "/run/soci-snapshotter-grpc/soci-snapshotter-grpc.sock";

/** Where the daemon listens; where it would, if none runs. @param address as it says. */
export function daemonSocket(address: string | undefined): string {
  const said = address ??
    (Deno.env.get("SOCI_SNAPSHOTTER_ADDRESS") || DEFAULT_SOCKET);
  return said.startsWith("fd:")
    ? DEFAULT_SOCKET
    : said.replace(/^unix:\/\//, "");
}
