import { closest, distance } from "fastest-levenshtein";
import { parse, TomlError } from "smol-toml";
import * as v from "valibot";
import type { Config } from "./config.ts";
import { KEYS } from "./keys.ts";
import { lineOfKey } from "./places.ts";
import { ConfigError, configSchema, DEFAULT_CONFIG_PATH } from "./schema.ts";

/** Something in the file that is not as its writer thinks. */
export interface ConfigFinding {
  /** `wrong`: the file cannot be used. Of the others the daemon takes no notice. */
  readonly kind: "wrong" | "unknown" | "unused";
  /** The dotted name of the key; empty where the file is no TOML. */
  readonly key: string;
  /** From 1; null where it is not known. */
  readonly line: number | null;
  /** From 1; only where the file is no TOML. */
  readonly column?: number;
  /** What is wrong and what to do, without key and line. */
  readonly text: string;
}

/** A configuration and what the file says that has no effect. */
export interface ParsedConfig {
  /** What is in effect: the file's values, and defaults for all it does not say. */
  readonly config: Config;
  /** Keys that have no effect. */
  readonly findings: readonly ConfigFinding[];
}

/** Tables whose keys are names the user chooses (hosts, images): kept to the letter. */
const FREE_NAMES = new Set([
  "load_order.workloads",
  "eager.policies",
  "resolver.host",
]);
/** A name that differs in more letters is another one. */
const MOST_TYPOS = 4;

type Table = Record<string, unknown>;

function isTable(value: unknown): value is Table {
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

/** A key that the file sets. */
interface GivenKey {
  /** As the user wrote it, but for the case. */
  readonly parts: readonly string[];
  /** As {@linkcode KEYS} has it: `*` for names that the user chooses. */
  readonly known: string;
}

/** All keys with values, those in lists of tables too. */
function* givenKeys(
  value: unknown,
  parts: readonly string[] = [],
  known = "",
): Generator<GivenKey> {
  if (Array.isArray(value) && value.some(isTable)) {
    for (const item of value) yield* givenKeys(item, parts, known);
  } else if (isTable(value)) {
    const free = FREE_NAMES.has(known);
    for (const [key, item] of Object.entries(value)) {
      const name = free ? "*" : key;
      const below = known === "" ? name : `${known}.${name}`;
      yield* givenKeys(item, [...parts, key], below);
    }
  } else if (parts.length > 0) {
    yield { parts, known };
  }
}

/** Tables, by what lies in them. */
function isKnownTable(name: string): boolean {
  return Object.keys(KEYS).some((key) => key.startsWith(`${name}.`));
}

/** The key that was meant, where one is near. */
function suggestion(unknown: string): string | null {
  const near = closest(unknown, Object.keys(KEYS));
  if (distance(unknown, near) <= MOST_TYPOS) return near;
  // In the wrong table, or in none.
  const [last] = unknown.split(".").slice(-1);
  const elsewhere = Object.keys(KEYS).filter((key) =>
    key.endsWith(`.${last}`) || key === last
  );
  return elsewhere.length === 1 ? elsewhere[0] ?? null : null;
}

function withoutEffect(raw: unknown, toml: string): ConfigFinding[] {
  return [...givenKeys(raw)].flatMap(({ parts, known }): ConfigFinding[] => {
    const [key, line] = [parts.join("."), lineOfKey(toml, parts)];
    const text = KEYS[known];
    if (text !== undefined) {
      return text.unused === undefined
        ? []
        : [{ kind: "unused", key, line, text: `no effect: ${text.unused}` }];
    }
    if (isKnownTable(known)) return []; // an empty table
    const near = suggestion(known);
    const meant = near === null ? "" : `; did you mean ${near}?`;
    return [{ kind: "unknown", key, line, text: `unknown key${meant}` }];
  });
}

/** What the schema found, in our words. */
function wrong(
  issue: v.BaseIssue<unknown>,
  toml: string,
): ConfigFinding {
  const parts = (issue.path ?? []).map(({ key }) => String(key));
  // Our own checks say it in their message.
  const expected = (issue.expected ?? issue.message)
    .replace(/^\((.*)\)$/, "$1").replaceAll(" | ", " or ");
  const meant = meantWord(issue);
  return {
    kind: "wrong",
    key: parts.join("."),
    line: lineOfKey(toml, parts),
    text: `expected ${NAMES[expected] ?? expected}, but it is ${
      written(issue.input)
    }${meant === null ? "" : `; did you mean ${JSON.stringify(meant)}?`}`,
  };
}

/** The one of several words that was meant, where one is near. */
function meantWord({ type, input, expected }: v.BaseIssue<unknown>) {
  if (type !== "picklist" || typeof input !== "string") return null;
  const words = [...(expected ?? "").matchAll(/"([^"]+)"/g)].map(([, word]) =>
    word ?? ""
  );
  const near = closest(input.toLowerCase(), words);
  return distance(input.toLowerCase(), near) < near.length / 2 ? near : null;
}

/** The schema's words for what it expects. */
const NAMES: Readonly<Record<string, string>> = {
  number: "a number",
  string: "text in quotes",
  boolean: "true or false",
  Object: "a table",
  Array: "a list",
};

function written(input: unknown): string {
  const text = input instanceof Date ? "a date" : JSON.stringify(input);
  return text === undefined
    ? "absent"
    : text.length > 60
    ? `${text.slice(0, 60)}…`
    : text;
}

/** `c.toml:3: blob.max_retries: expected a number, but it is "x"`. */
export function describeFinding(
  source: string,
  { key, line, column, text }: ConfigFinding,
): string {
  const place = [source, line, column].filter((one) => one != null).join(":");
  return key === "" ? `${place}: ${text}` : `${place}: ${key}: ${text}`;
}

/**
 * All that is wrong or without effect in the text of a configuration file, and what it means where it can be
 * used.
 */
export function checkConfig(
  toml: string,
): { config: Config | null; findings: readonly ConfigFinding[] } {
  let raw: unknown;
  try {
    raw = lowerKeys(parse(toml), "");
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw cause;
    const { line, column, message } = cause;
    const text = message.split("\n")[0]
      ?.replace(/^Invalid TOML document: /, "") ?? "";
    return {
      config: null,
      findings: [{ kind: "wrong", key: "", line, column, text }],
    };
  }
  const result = v.safeParse(configSchema, raw);
  const findings = withoutEffect(raw, toml);
  if (result.success) return { config: result.output, findings };
  const issues = result.issues.map((issue) => wrong(issue, toml));
  return { config: null, findings: [...issues, ...findings] };
}

/**
 * Reads the text of a configuration file.
 * @param source named in errors, usually the file's path.
 * @throws ConfigError when it is no TOML or a key has a value of the wrong kind.
 */
export function parseConfig(toml: string, source: string): ParsedConfig {
  const { config, findings } = checkConfig(toml);
  if (config !== null) return { config, findings };
  const [first, ...more] = findings.filter(({ kind }) => kind === "wrong")
    .map((finding) => describeFinding(source, finding));
  throw new ConfigError(
    `${first}${
      more.length === 0
        ? ""
        : `; ${more.length} more, \`config check\` shows them`
    }`,
  );
}

/**
 * The text of a file, or of the default file when no path is given: where that is missing, nothing.
 * @throws ConfigError when the file cannot be read.
 */
export function readConfigFile(path?: string): { file: string; toml: string } {
  const file = path ?? DEFAULT_CONFIG_PATH;
  try {
    return { file, toml: Deno.readTextFileSync(file) };
  } catch (cause) {
    if (path === undefined && cause instanceof Deno.errors.NotFound) {
      return { file, toml: "" };
    }
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ConfigError(`cannot read configuration ${file}: ${why}`, {
      cause,
    });
  }
}

/**
 * Loads a file, or the default file when no path is given (where a missing file means defaults).
 * @throws ConfigError when the file cannot be read or used.
 */
export function loadConfig(path?: string): ParsedConfig {
  const { file, toml } = readConfigFile(path);
  return parseConfig(toml, file);
}
