/** Where an installation writes: what its permissions are made of, too. @module */

/** The folders, each with the highest one that may be made. */
export const FOLDERS = {
  units: "/etc/systemd/system",
  daemon: "/etc/soci-snapshotter-grpc",
  containerd: "/etc/containerd",
  record: "/var/lib/soci-deno",
} as const;

/** The highest folders that may be made. */
export const BASES = [
  "/etc/systemd",
  FOLDERS.daemon,
  FOLDERS.containerd,
  FOLDERS.record,
] as const;

/** The units, which the packages bring, too. */
export const UNITS = [
  "soci-snapshotter.service",
  "soci-snapshotter.socket",
] as const;

/** The links that `systemctl enable` makes of them, as their `[Install]` sections say. */
export const ENABLED: Readonly<Record<typeof UNITS[number], string>> = {
  "soci-snapshotter.service": `${FOLDERS.units}/multi-user.target.wants`,
  "soci-snapshotter.socket": `${FOLDERS.units}/sockets.target.wants`,
};

/** Where packages put units. */
export const VENDOR_UNITS = [
  "/usr/local/lib/systemd/system",
  "/usr/lib/systemd/system",
  "/lib/systemd/system",
];

/** The daemon's configuration. */
export const DAEMON_CONFIG = `${FOLDERS.daemon}/config.toml`;
/** containerd's. */
export const CONTAINERD_CONFIG = `${FOLDERS.containerd}/config.toml`;
/** What was there before, and what was written. */
export const RECORD = `${FOLDERS.record}/install.json`;

/** Where a host may have containerd. */
export const CONTAINERD_PROGRAMS = [
  "/usr/bin/containerd",
  "/usr/local/bin/containerd",
];

/** Where the program is, unless it is installed from somewhere else or `--program` says so. */
export const DEFAULT_PROGRAM = "/usr/local/bin/soci-deno";

/** The folder that `--root` names, as text to put before a path. */
export function treeRoot(flag: string | undefined): string {
  return (flag ?? "").replace(/\/+$/, "");
}
