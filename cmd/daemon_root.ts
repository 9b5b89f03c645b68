/** Where the daemon keeps its state: for the daemon itself and for whoever asks or clears it. @module */

/** The same as the existing daemon's, so that a host can switch by changing the binary. */
export const DEFAULT_ROOT = "/var/lib/soci-snapshotter-grpc/";

/** The folder that `--root`, else SOCI_SNAPSHOTTER_ROOT, else the default says; no closing slash. */
export function daemonRoot(flag: string | undefined): string {
  return (flag ?? Deno.env.get("SOCI_SNAPSHOTTER_ROOT") ?? DEFAULT_ROOT)
    .replace(/\/+$/, "");
}
