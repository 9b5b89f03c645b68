import { parse, TomlError } from "smol-toml";
import * as v from "valibot";
import type { Config } from "./config.ts";
import { ConfigError, configSchema, DEFAULT_CONFIG_PATH } from "./schema.ts";

/** A configuration and what the file says that has no effect. */
export interface ParsedConfig {
  /** What is in effect: the file's values, and defaults for all it does not say. */
  readonly config: Config;
  /** Dotted names of keys that are not known. */
  readonly unknownKeys: readonly string[];
}

/** Tables whose keys are names the user chooses (hosts, codecs): kept to the letter. */
const FREE_NAMES = new Set([
  "resolver.host",
  "pull_modes.parallel_pull_unpack.decompress_streams",
]);

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) &&
    !(value instanceof Date);
}

function lowerKeys(value: unknown, path: string): unknown {
  if (Array.isArray(value)) return value.map((item) => lowerKeys(item, path));
  if (!isTable(value)) return value;
  const free = FREE_NAMES.has(path);
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => {
      const name = free ? key : key.toLowerCase();
      return [name, lowerKeys(item, path === "" ? name : `${path}.${name}`)];
    }),
  );
}

function unknownKeys(given: unknown, known: unknown, path: string): string[] {
  if (!isTable(given) || !isTable(known)) return [];
  return Object.entries(given).flatMap(([key, item]) => {
    const name = path === "" ? key : `${path}.${key}`;
    if (!(key in known)) return [name];
    return FREE_NAMES.has(name) ? [] : unknownKeys(item, known[key], name);
  });
}

/**
 * Reads the text of a configuration file.
 * @param source named in errors, usually the file's path.
 * @throws ConfigError when it is no TOML or a key has a value of the wrong kind.
 */
export function parseConfig(toml: string, source: string): ParsedConfig {
  let raw: unknown;
  try {
    raw = lowerKeys(parse(toml), "");
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw cause;
    throw new ConfigError(
      `${source}:${cause.line}:${cause.column}: ${
        cause.message.split("\n")[0]
      }`,
      { cause },
    );
  }
  const result = v.safeParse(configSchema, raw);
  if (!result.success) {
    const issue = result.issues[0];
    throw new ConfigError(
      `${source}: ${v.getDotPath(issue) ?? "configuration"}: ${issue.message}`,
    );
  }
  return {
    config: result.output,
    unknownKeys: unknownKeys(raw, result.output, ""),
  };
}

/**
 * Loads a file, or the default file when no path is given (where a missing file means defaults).
 * @throws ConfigError when the file cannot be read or used.
 */
export function loadConfig(path?: string): ParsedConfig {
  const file = path ?? DEFAULT_CONFIG_PATH;
  let toml: string;
  try {
    toml = Deno.readTextFileSync(file);
  } catch (cause) {
    if (path === undefined && cause instanceof Deno.errors.NotFound) {
      return parseConfig("", file);
    }
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ConfigError(`cannot read configuration ${file}: ${why}`, {
      cause,
    });
  }
  return parseConfig(toml, file);
}
