/** Folders of registry hosts, as containerd reads them (its docs/hosts.md). @module */
import { namesIn, readTextIfThere, statIfThere } from "../../host/files/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import type { TlsOptions } from "../network/mod.ts";
import { HostsDirError, parseHosts, type ReadFile } from "./hosts_toml.ts";
import type { HostOptions } from "./options.ts";
export { HostsDirError } from "./hosts_toml.ts";

const log = logger("registry");
/** How long what was read is believed without looking whether it has changed. */
const FRESH_MS = 1_000;
/** Hosts that are remembered. */
const MAX_HOSTS = 1024;

/** What the files said of a host, and which files that were. */
interface KnownHost {
  readonly options: HostOptions | undefined;
  /** What was looked at, with its state then. */
  readonly seen: ReadonlyMap<string, string>;
  checkedMs: number;
}

/**
 * Reads folders of registry hosts as containerd does: `<folder>/<host>_<port>_/hosts.toml`, `<folder>/<host>/hosts.toml`
 * or `<folder>/_default/hosts.toml`. The first of these places that is there decides, in the first folder that has
 * one. If it holds only certificates (`*.crt`, and pairs of `*.cert` and `*.key`), they are used as in Docker.
 *
 * The returned function looks at the files again when they have changed. A change that cannot be used is told in the
 * log, and what held before holds on.
 * @param folders one or several, with `:` or `,` between them: containerd joins them by the one, nerdctl by the other.
 * @throws HostsDirError (from the returned function) if a file cannot be used.
 */
export function hostsDir(
  folders: string,
): (host: string) => HostOptions | undefined {
  const known = new Map<string, KnownHost>();
  const places = folders.split(/[:,]/).filter((folder) => folder !== "");
  return (host) => {
    const now = performance.now();
    const before = known.get(host);
    if (before !== undefined) {
      if (now - before.checkedMs < FRESH_MS) return before.options;
      before.checkedMs = now;
      if (!hasChanged(before.seen)) return before.options;
    }
    if (known.size >= MAX_HOSTS) known.clear();
    try {
      const read = { ...readHost(places, host), checkedMs: now };
      known.set(host, read);
      return read.options;
    } catch (error) {
      if (before === undefined || !(error instanceof HostsDirError)) {
        throw error;
      }
      log.warn(
        "changed files of a host cannot be used, what held before holds on",
        {
          host,
          error: error.message,
        },
      );
      return before.options;
    }
  };
}

/** What tells whether a file or folder is another one. */
function stateOf(path: string): string {
  const info = statIfThere(path);
  return info === null
    ? ""
    : `${info.ino} ${info.size} ${info.mtime?.getTime()}`;
}

function hasChanged(seen: ReadonlyMap<string, string>): boolean {
  for (const [path, state] of seen) if (stateOf(path) !== state) return true;
  return false;
}

function readHost(
  folders: readonly string[],
  host: string,
): Pick<KnownHost, "options" | "seen"> {
  const seen = new Map<string, string>();
  const look = (path: string) => {
    // Before it is read: a change in between is seen the next time.
    const state = stateOf(path);
    seen.set(path, state);
    return state !== "";
  };
  const readFile: ReadFile = (path) =>
    look(path) ? readTextIfThere(path) : null;
  const withPort = host.replace(/:(\d+)$/, "_$1_");
  const names = new Set([withPort, host, "_default"]);
  for (const folder of folders) {
    for (const name of names) {
      const place = `${folder}/${name}`;
      if (!look(place)) continue;
      const toml = readFile(`${place}/hosts.toml`);
      if (toml !== null) {
        return { options: parseHosts(toml, place, readFile), seen };
      }
      const tls = readCertificates(place, readFile);
      const options = tls === null
        ? undefined
        : { mirrors: [], server: { tls } };
      return { options, seen };
    }
  }
  return { options: undefined, seen };
}

/** Reads a folder of certificates by Docker's convention. */
function readCertificates(
  folder: string,
  readFile: ReadFile,
): TlsOptions | null {
  const names = namesIn(folder).sort();
  const read = (name: string) => readFile(`${folder}/${name}`) ?? "";
  const caCerts = names.filter((name) => name.endsWith(".crt")).map(read);
  const cert = names.find((name) =>
    name.endsWith(".cert") && names.includes(name.replace(/cert$/, "key"))
  );
  if (caCerts.length === 0 && cert === undefined) return null;
  return {
    ...(caCerts.length > 0 && { caCerts }),
    ...(cert !== undefined && {
      clientCert: { cert: read(cert), key: read(cert.replace(/cert$/, "key")) },
    }),
  };
}
