/**
 * What `serve` and `mount` use beyond their root: found in the command line and the configuration, as they are when
 * the command starts. What they name later is in force after a restart.
 * @module
 */
import { dirname, resolve } from "node:path";
import { bindingFolder, elsewhere } from "../lib/host/control/mod.ts";
import { SCRATCH_FOLDERS } from "../lib/host/files/mod.ts";
import { withPorts } from "../lib/remote/network/mod.ts";
import type { Computed, Line } from "./grants.ts";
import {
  kubernetesFiles,
  kubernetesHosts,
  kubernetesPrograms,
  type Said,
} from "./kubernetes_needs.ts";
import { configPath } from "./network_hosts.ts";
import { namedByHosts, textOf } from "./registry_needs.ts";

/** Keys of the configuration that name sockets, and those that name programs. */
const SOCKETS = String.raw`(?:address|image_service_path)["']?\s*=\s*`;
const PROGRAMS = String.raw`\bpath["']?\s*=\s*`;

/** Absolute paths in quotes, all of them or those of some keys. */
function pathsIn(text: string, keys = ""): string[] {
  const path = String.raw`["'](?:unix:\/\/)?(\/[^"'\n]*)["']`;
  return [...text.matchAll(new RegExp(`${keys}${path}`, "gi"))]
    .flatMap(([, paths]) => paths!.split(/[:,]/)).filter((one) => one !== "");
}

/** What the configuration says: sockets, folders of hosts, keys and plugins. */
function said(line: Line): Said {
  const text = textOf(configPath(line));
  return { text, paths: pathsIn(text) };
}

function isThere(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false; // or it is told when the socket is made
  }
}

/** Its path, as it was said; null where the service manager makes it. */
function ownAddress(line: Line): string | null {
  const address = line.value("address") ??
    line.env("SOCI_SNAPSHOTTER_ADDRESS") ??
    "/run/soci-snapshotter-grpc/soci-snapshotter-grpc.sock";
  return address.startsWith("fd:") ? null : address.replace(/^unix:\/\//, "");
}

/** The socket for containerd, the private folder in which it is made, and where that is, if it is missing. */
function ownSocket(line: Line): string[] {
  const path = ownAddress(line);
  if (path === null) return [];
  const parent = dirname(path);
  return [path, bindingFolder(path), ...(isThere(parent) ? [] : [parent])];
}

const CONTAINERD = "/run/containerd/containerd.sock";

/** Where the daemon that has the line's root is spoken to. */
export function controlSockets(line: Line): string[] {
  const path = `${line.root()}/control.sock`;
  return [path, elsewhere(path)];
}

/** Folders in which the daemon makes and removes files, and sockets, for which Deno asks the same. */
export const DAEMON_WRITES: Computed = {
  says:
    "the root; its socket, and the folder in which that is made; containerd's socket and others that the configuration names; folders in memory, for a root on a read-only disk",
  of: (line) => [
    ...[line.root(), ...controlSockets(line).slice(1), CONTAINERD],
    ...[...ownSocket(line), ...pathsIn(said(line).text, SOCKETS)],
    ...SCRATCH_FOLDERS,
  ],
};

/** The same, and what the daemon reads. */
export const DAEMON_READS: Computed = {
  says:
    "the same; its configuration, and what that names; Kubernetes' configuration, and what that names",
  of: (line) => {
    const it = said(line);
    return [
      ...[...DAEMON_WRITES.of(line), configPath(line), ...it.paths],
      ...it.paths.flatMap(namedByHosts),
      ...kubernetesFiles(line, it),
    ];
  },
};

/** This program, also where another file has its name by now. */
const ITSELF = [Deno.execPath().replace(/ \(deleted\)$/, ""), "/proc/self/exe"];

/** Programs that the daemon runs. */
export const DAEMON_RUNS: Computed = {
  says:
    "itself, as the mount helper; the kubelet's credential plugins; the programs of decompress_streams",
  of: (line) => {
    const it = said(line);
    return [
      ...[...ITSELF, ...pathsIn(it.text, PROGRAMS)],
      ...kubernetesPrograms(line, it),
    ];
  },
};

/** Where it listens, by the configuration, with what is meant where no host is said. */
const LISTENS: readonly (readonly [RegExp, string])[] = [
  [/\bmetrics_address\s*=\s*["']([^"'\n]*):(\d+)["']/gi, "0.0.0.0"],
  [/\bdebug_address\s*=\s*["']([^"'\n]*):(\d+)["']/gi, "127.0.0.1"],
];

/** All that the daemon connects to and listens on where the configuration says which hosts it may ask. */
export function daemonNet(line: Line, hosts: readonly string[]): string[] {
  const it = said(line);
  const address = ownAddress(line);
  const sockets = [
    ...[CONTAINERD, ...controlSockets(line), ...pathsIn(it.text, SOCKETS)],
    ...(address === null ? [] : [resolve(address)]),
  ];
  const own = LISTENS.flatMap(([key, host]) =>
    [...it.text.matchAll(key)].map((one) => `${one[1] || host}:${one[2]}`)
  );
  return [
    ...sockets.map((path) => `unix:${path}`),
    ...[...withPorts(hosts), ...own, ...kubernetesHosts(line, it)],
  ];
}

/** What `mount` writes. */
export const MOUNT_WRITES: Computed = {
  says: "the root",
  of: (line) => [line.root()],
};

/** What it reads. */
export const MOUNT_READS: Computed = {
  says: "the root, DIR; the daemon's configuration",
  of: (line) => [
    ...[line.root(), ...line.positionals.slice(1)],
    configPath(line),
  ],
};

/** Programs that it runs. */
export const MOUNT_RUNS: Computed = {
  says: "itself, as the mount helper",
  of: () => ITSELF,
};
