/** Which files and programs a registry's login and certificates are, found before the command is loaded. @module */
import { resolve } from "node:path";
import type { Computed, Line } from "./grants.ts";

const MAX_FILE_BYTES = 4 * 2 ** 20;

/** Docker's configuration. */
export const DOCKER: Computed = {
  says: "Docker's config.json",
  of: (line) => [dockerConfig(line)],
};

/** The credential helpers that Docker's configuration names. */
export const DOCKER_HELPERS: Computed = {
  says: "the credential helpers of Docker's config.json",
  of: (line) => helpersIn(textOf(dockerConfig(line))),
};

/** The files of the flags for TLS. */
export const CERTIFICATES: Computed = {
  says: "--tlscacert, --tlscert, --tlskey",
  of: (line) =>
    ["tlscacert", "tlscert", "tlskey"].flatMap((flag) => line.values(flag)),
};

/** Where hosts are described when nothing else is said: where containerd and Docker look. */
export const DEFAULT_HOSTS_DIRS = "/etc/containerd/certs.d:/etc/docker/certs.d";

/** The folders of `--hosts-dir`, and the files elsewhere that their files name. */
export const hostFiles: Computed = {
  says: `--hosts-dir (${DEFAULT_HOSTS_DIRS}), and what its files name`,
  of: (line) =>
    (line.value("hosts-dir") ?? DEFAULT_HOSTS_DIRS).split(":")
      .filter((folder) => folder !== "")
      .flatMap((folder) => [folder, ...namedIn(folder)]),
};

function dockerConfig({ env }: Line): string {
  const folder = env("DOCKER_CONFIG") ?? `${env("HOME") ?? "/root"}/.docker`;
  return `${folder}/config.json`;
}

/** Programs by the rule of `lib/remote/registry`: a helper's name is no path. What is no JSON names none. */
function helpersIn(text: string): string[] {
  let config: unknown;
  try {
    config = JSON.parse(text);
  } catch {
    return []; // the command tells what is wrong with the file
  }
  const { credHelpers, credsStore } = (config ?? {}) as Record<string, unknown>;
  return [credsStore, ...Object.values(credHelpers ?? {})]
    .filter((name) => typeof name === "string")
    .filter((name) => /^[A-Za-z0-9._-]+$/.test(name))
    .map((name) => `docker-credential-${name}`);
}

/** Every quoted text in a `hosts.toml` may be a file's name: of those, paths outside of the folder. */
function namedIn(folder: string): string[] {
  const names: string[] = [];
  let hosts: Iterable<Deno.DirEntry>;
  try {
    hosts = Deno.readDirSync(folder);
  } catch {
    return []; // the command tells
  }
  for (const { name } of hosts) {
    const text = textOf(`${folder}/${name}/hosts.toml`);
    for (const [, quoted] of text.matchAll(/["']([^"'\n]+)["']/g)) {
      if (/^\/|(^|\/)\.\.(\/|$)/.test(quoted!)) {
        names.push(resolve(folder, name, quoted!));
      }
    }
  }
  return names;
}

function textOf(path: string): string {
  try {
    const { size, isFile } = Deno.statSync(path);
    return isFile && size <= MAX_FILE_BYTES ? Deno.readTextFileSync(path) : "";
  } catch {
    return ""; // the command tells
  }
}
