/**
 * What `serve` and `mount` use beyond their root: found in the command line and the configuration. Both run in the
 * process, which cannot narrow what it was started with, so these lists are what they need and not what binds them:
 * the audit holds them against a run.
 * @module
 */
import { dirname } from "node:path";
import type { Computed, Line } from "./grants.ts";
import { bindingFolder, elsewhere } from "../lib/host/control/mod.ts";
import { configPath } from "./network_hosts.ts";
import { MOUNT_ROOT } from "./root.ts";
import { textOf } from "./registry_needs.ts";

/** Absolute paths that the configuration names: sockets, folders of hosts, keys and plugins. */
function namedIn(line: Line): string[] {
  return [...textOf(configPath(line)).matchAll(/["'](\/[^"'\n]*)["']/g)]
    .flatMap(([, path]) => path!.split(":"));
}

function isThere(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false; // or it is told when the socket is made
  }
}

/** The socket for containerd, the private folder in which it is made, and where that is, if it is missing. */
function ownSocket(line: Line): string[] {
  const address = line.value("address") ??
    line.env("SOCI_SNAPSHOTTER_ADDRESS") ??
    "/run/soci-snapshotter-grpc/soci-snapshotter-grpc.sock";
  if (address.startsWith("fd:")) return [];
  const path = address.replace(/^unix:\/\//, "");
  const parent = dirname(path);
  return [path, bindingFolder(path), ...(isThere(parent) ? [] : [parent])];
}

const CONTAINERD = "/run/containerd/containerd.sock";

/** Folders in which the daemon makes and removes files, and sockets, for which Deno asks the same. */
export const DAEMON_WRITES: Computed = {
  says:
    "the root; its socket, and the folder in which that is made; containerd's socket and others that the configuration names",
  of: (line) => [
    ...[line.root(), elsewhere(`${line.root()}/control.sock`), CONTAINERD],
    ...[...ownSocket(line), ...namedIn(line)],
  ],
};

/** The login of Kubernetes, where it is wanted. */
const KUBERNETES = "/var/run/secrets/kubernetes.io/serviceaccount";

/** The same, and what the daemon reads. */
export const DAEMON_READS: Computed = {
  says:
    "the same; its configuration, and what that names; Kubernetes' configuration",
  of: (line) => [
    ...DAEMON_WRITES.of(line),
    ...[configPath(line), KUBERNETES],
    ...(line.env("KUBECONFIG") ?? `${line.env("HOME") ?? "/root"}/.kube/config`)
      .split(":"),
  ],
};

/** Programs that the daemon runs. */
export const DAEMON_RUNS: Computed = {
  says:
    "itself, as the mount helper; the kubelet's credential plugins; the programs of decompress_streams",
  of: (line) => [Deno.execPath(), ...namedIn(line)],
};

const mountRoot = (line: Line) => line.value("root") ?? MOUNT_ROOT;

/** What `mount` writes. */
export const MOUNT_WRITES: Computed = {
  says: "the root",
  of: (line) => [mountRoot(line)],
};

/** What it reads. */
export const MOUNT_READS: Computed = {
  says: "the root, DIR; the daemon's configuration",
  of: (line) => [
    ...[mountRoot(line), ...line.positionals.slice(1)],
    configPath(line),
  ],
};

/** Programs that it runs. */
export const MOUNT_RUNS: Computed = {
  says: "itself, as the mount helper",
  of: () => [Deno.execPath()],
};
