import { dirname, resolve } from "node:path";
import { parse } from "smol-toml";
import { FileError, readTextIfThere } from "../../host/files/mod.ts";

/** containerd's configuration cannot be read; the message names the file and says why. */
export class ContainerdConfigError extends Error {
  static {
    this.prototype.name = "ContainerdConfigError";
  }
}

/** A table of TOML. */
export type Table = Readonly<Record<string, unknown>>;

/** What of containerd's configuration matters to a snapshotter. */
export interface ContainerdConfig {
  /** The file; those that it imports are read with it. */
  readonly path: string;
  /** Its `version` line; null where it has none. */
  readonly version: number | null;
  /** `[proxy_plugins.NAME]`. */
  readonly proxyPlugins: Table;
  /** `[plugins."NAME"]`. */
  readonly plugins: Table;
}

/** More files than this are not imported. */
const MAX_IMPORTS = 64;

/**
 * Reads the file and those that it imports.
 * @returns null when there is no such file: containerd runs on its defaults.
 * @throws ContainerdConfigError
 */
export function readContainerdConfig(path: string): ContainerdConfig | null {
  const text = readFile(path);
  if (text === null) return null;
  const main = parseTable(path, text);
  let config = configOf(path, main);
  for (const file of importedBy(path, main)) {
    const more = readFile(file);
    if (more !== null) config = merged(config, parseTable(file, more));
  }
  return config;
}

/** Reads a configuration from its text; what it imports is left out. @throws ContainerdConfigError */
export function parseContainerdConfig(
  path: string,
  text: string,
): ContainerdConfig {
  return configOf(path, parseTable(path, text));
}

function readFile(path: string): string | null {
  try {
    return readTextIfThere(path);
  } catch (cause) {
    if (!(cause instanceof FileError)) throw cause;
    throw new ContainerdConfigError(cause.message, { cause });
  }
}

function parseTable(path: string, text: string): Table {
  try {
    return parse(text);
  } catch (cause) {
    const [why] = (cause instanceof Error ? cause.message : String(cause))
      .split("\n");
    throw new ContainerdConfigError(`${path}: ${why}`, { cause });
  }
}

function configOf(path: string, table: Table): ContainerdConfig {
  const { version } = table;
  return {
    path,
    version: typeof version === "bigint" || typeof version === "number"
      ? Number(version)
      : null,
    proxyPlugins: tableIn(table, "proxy_plugins"),
    plugins: tableIn(table, "plugins"),
  };
}

/** A file that is imported replaces the plugins that it names. */
function merged(before: ContainerdConfig, table: Table): ContainerdConfig {
  const { proxyPlugins, plugins } = configOf(before.path, table);
  return {
    ...before,
    proxyPlugins: { ...before.proxyPlugins, ...proxyPlugins },
    plugins: { ...before.plugins, ...plugins },
  };
}

function importedBy(path: string, { imports }: Table): string[] {
  const patterns: unknown[] = Array.isArray(imports) ? imports : [];
  return patterns.filter((one) => typeof one === "string")
    .flatMap((one) => matching(resolve(dirname(path), one)))
    .slice(0, MAX_IMPORTS);
}

/** A star stands for any part of a file's name. */
function matching(pattern: string): string[] {
  if (!pattern.includes("*")) return [pattern];
  const folder = dirname(pattern);
  const name = new RegExp(
    `^${
      pattern.slice(folder.length).replace(/^\//, "")
        .replaceAll(/[.+?^${}()|[\]\\]/g, "\\$&").replaceAll("*", "[^/]*")
    }$`,
  );
  try {
    return [...Deno.readDirSync(folder)].map((one) => one.name)
      .filter((one) => name.test(one)).toSorted()
      .map((one) => `${folder}/${one}`);
  } catch {
    return []; // no such folder: nothing is imported
  }
}

/** A table within a table; empty when it is none. */
export function tableIn(table: Table, name: string): Table {
  const found = table[name];
  return typeof found === "object" && found !== null && !Array.isArray(found)
    ? found as Table
    : {};
}
