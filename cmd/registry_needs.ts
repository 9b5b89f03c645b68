/**
 * Which hosts are asked, and which files and programs a registry's login and certificates are, found before the
 * command is loaded.
 * @module
 */
import { resolve } from "node:path";
import type { NamedHosts } from "../lib/remote/network/mod.ts";
import type { Computed, Line } from "./grants.ts";

const MAX_FILE_BYTES = 4 * 2 ** 20;

/** Images whose registries a command asks. */
export type Asks = Computed;

/** The images that are named first on the command line. */
export const IMAGES: Asks = {
  says: "IMAGE",
  of: ({ positionals }) => positionals,
};

/** An image, with other words behind it. */
export const FIRST_IMAGE: Asks = {
  says: "IMAGE",
  of: ({ positionals }) => positionals.slice(0, 1),
};

/** `--image`, or the image that a recording is of. */
export const RECORDED_IMAGE: Asks = {
  says: "--image, or the image that was recorded",
  of: (line) => {
    const image = line.value("image");
    if (image !== undefined) return [image];
    return line.positionals.flatMap((path) =>
      /"image":"([^"\\]+)"/.exec(startOf(path))?.[1] ?? []
    );
  },
};

/** The hosts of a command line. */
export function namedHosts(asks: Asks | undefined, line: Line): NamedHosts {
  return {
    images: asks?.of(line) ?? [],
    places: asks === undefined ? [] : hostsFolders(line).flatMap(placesIn),
  };
}

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
    hostsFolders(line).flatMap((folder) => [folder, ...namedByHosts(folder)]),
};

function hostsFolders(line: Line): string[] {
  return (line.value("hosts-dir") ?? DEFAULT_HOSTS_DIRS).split(/[:,]/)
    .filter((folder) => folder !== "");
}

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
export function namedByHosts(folder: string): string[] {
  return hostsFiles(folder).flatMap(({ name, text }) =>
    [...text.matchAll(/["']([^"'\n]+)["']/g)].map(([, quoted]) => quoted!)
      .filter((quoted) => /^\/|(^|\/)\.\.(\/|$)/.test(quoted))
      .map((quoted) => resolve(folder, name, quoted))
  );
}

/** The addresses that the files of a folder name: what stands for a server, and the names of mirrors. */
function placesIn(folder: string): string[] {
  return hostsFiles(folder).flatMap(({ text }) =>
    [...text.matchAll(
      /^\s*(?:server\s*=|\[\s*host\s*\.)\s*(?:"([^"\n]+)"|'([^'\n]+)'|([\w-]+))/gm,
    )].flatMap(([, ...forms]) => forms.find((form) => form !== undefined) ?? [])
  );
}

function hostsFiles(folder: string): { name: string; text: string }[] {
  try {
    return [...Deno.readDirSync(folder)].map(({ name }) => ({
      name,
      text: textOf(`${folder}/${name}/hosts.toml`),
    }));
  } catch {
    return []; // the command tells
  }
}

/** A recording's file begins with what it is of. */
function startOf(path: string): string {
  try {
    using file = Deno.openSync(path);
    const bytes = new Uint8Array(64 * 1024);
    return new TextDecoder().decode(
      bytes.subarray(0, file.readSync(bytes) ?? 0),
    );
  } catch {
    return ""; // the command tells
  }
}

/** What a file says; nothing where it is none, or too large. */
export function textOf(path: string): string {
  try {
    const { size, isFile } = Deno.statSync(path);
    return isFile && size <= MAX_FILE_BYTES ? Deno.readTextFileSync(path) : "";
  } catch {
    return ""; // the command tells
  }
}
