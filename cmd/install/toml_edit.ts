/**
 * Sets and takes out single keys of a TOML file and leaves every other byte as it is. containerd's files are people's:
 * a parser that writes them anew would lose order, comments and spelling.
 * @module
 */
import { isDeepStrictEqual } from "node:util";
import { parse } from "smol-toml";

/** A key and what it is to be. */
export interface Setting {
  /** The table: `["plugins", "io.containerd.cri.v1.images"]`; empty for the head of the file. */
  readonly table: readonly string[];
  readonly key: string;
  readonly value: string | number | boolean;
}

/** A file that cannot be edited: it is written in a way that this does not read. */
export class TomlEditError extends Error {
  override readonly name = "TomlEditError";
}

const KEY = String.raw`(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')`;
const HEADER = new RegExp(
  String.raw`^\s*\[\s*(${KEY}(?:\s*\.\s*${KEY})*)\s*\]\s*(?:#.*)?$`,
);
const ANY_HEADER = new RegExp(
  String.raw`^\s*\[\[?\s*${KEY}(?:\s*\.\s*${KEY})*\s*\]\]?\s*(?:#.*)?$`,
);

/** Sets keys. @returns the text; the same where they are set already @throws TomlEditError */
export function setKeys(text: string, settings: readonly Setting[]): string {
  const before = parsed(text);
  const wanted = settings.filter(({ table, key, value }) =>
    valueAt(before, [...table, key]) !== value
  );
  if (wanted.length === 0) return text;
  const lines = text.split("\n");
  for (const setting of wanted) setKey(lines, setting);
  return checked(lines.join("\n"), wanted, before);
}

/** What a key was before it was set: the whole line, or null where there was none. */
export interface OldKey extends Setting {
  /** What stood there; null: nothing. */
  readonly before: string | number | boolean | null;
}

/**
 * Keys that setting them would change, with what they are now, to be given to {@link unsetKeys} later.
 * @throws TomlEditError
 */
export function oldKeys(
  text: string,
  settings: readonly Setting[],
): readonly OldKey[] {
  const now = parsed(text);
  return settings.map((setting) => {
    const before = valueAt(now, [...setting.table, setting.key]) ?? null;
    if (before !== null && typeof before === "object") {
      throw new TomlEditError(`${nameOf(setting)} is no single value`);
    }
    return { ...setting, before: before as OldKey["before"] };
  }).filter(({ before, value }) => before !== value);
}

/**
 * Takes keys back to what they were, where they still are what they were set to. A table that has nothing left and
 * was made for them goes, too.
 * @throws TomlEditError
 */
export function unsetKeys(text: string, keys: readonly OldKey[]): string {
  const now = parsed(text);
  const ours = keys.filter(({ table, key, value }) =>
    valueAt(now, [...table, key]) === value
  );
  const lines = text.split("\n");
  for (const one of ours) {
    const { header, at } = placeOf(lines, one);
    if (at < 0) throw new TomlEditError(`${nameOf(one)} was not found`);
    if (one.before !== null) {
      lines[at] = lineOf({ ...one, value: one.before }, indentOf(lines[at]!));
    } else {
      lines.splice(at, 1);
      if (header >= 0) dropIfEmpty(lines, header);
    }
  }
  const after = lines.join("\n");
  for (const { table, key, before } of ours) {
    const value = valueAt(parsed(after), [...table, key]) ?? null;
    if (value !== before) {
      throw new TomlEditError(`${[...table, key].join(".")} did not go`);
    }
  }
  return after;
}

function setKey(lines: string[], setting: Setting): void {
  const { header, at } = placeOf(lines, setting);
  if (at >= 0) {
    lines[at] = lineOf(setting, indentOf(lines[at]!));
    return;
  }
  if (header >= 0) {
    lines.splice(
      header + 1,
      0,
      lineOf(setting, `${indentOf(lines[header]!)}  `),
    );
    return;
  }
  if (setting.table.length === 0) {
    lines.unshift(lineOf(setting, ""));
    return;
  }
  // At the end, behind one empty line.
  while (lines.at(-1) === "") lines.pop();
  if (lines.length > 0) lines.push("");
  lines.push(`[${setting.table.map(quotedKey).join(".")}]`);
  lines.push(lineOf(setting, "  "), "");
}

/** The lines of a table's header and of a key in it; -1 where there is none. The file's head has no header. */
function placeOf(
  lines: readonly string[],
  { table, key }: Setting,
): { readonly header: number; readonly at: number } {
  const header = lines.findIndex((line) =>
    isDeepStrictEqual(tableOf(line), table)
  );
  if (header < 0 && table.length > 0) return { header, at: -1 };
  for (let at = header + 1; at < lines.length; at++) {
    if (ANY_HEADER.test(lines[at]!)) break;
    const match = new RegExp(`^\\s*(${KEY})\\s*=`).exec(lines[at]!);
    if (match !== null && unquoted(match[1]!) === key) return { header, at };
  }
  return { header, at: -1 };
}

function tableOf(line: string): readonly string[] | null {
  const match = HEADER.exec(line);
  if (match === null) return null;
  return [...match[1]!.matchAll(new RegExp(KEY, "g"))]
    .map(([key]) => unquoted(key));
}

function unquoted(key: string): string {
  if (key.startsWith("'")) return key.slice(1, -1);
  if (!key.startsWith('"')) return key;
  try {
    return JSON.parse(key);
  } catch {
    return key; // an escape that only TOML knows: none of ours
  }
}

function quotedKey(key: string): string {
  return /^[A-Za-z0-9_-]+$/.test(key) ? key : JSON.stringify(key);
}

function indentOf(line: string): string {
  return /^\s*/.exec(line)![0];
}

function lineOf({ key, value }: Setting, indent: string): string {
  return `${indent}${quotedKey(key)} = ${JSON.stringify(value)}`;
}

/** Takes a header away that is followed by nothing of its own, with the empty line before it. */
function dropIfEmpty(lines: string[], header: number): void {
  const rest = lines.slice(header + 1);
  const next = rest.findIndex((line) => ANY_HEADER.test(line));
  const own = next < 0 ? rest : rest.slice(0, next);
  if (own.some((line) => line.trim() !== "")) return;
  const from = lines[header - 1] === "" ? header - 1 : header;
  lines.splice(from, header + 1 - from);
}

function nameOf({ table, key }: Setting): string {
  return [...table, key].map(quotedKey).join(".");
}

type Table = Readonly<Record<string, unknown>>;

/** @throws TomlEditError */
function parsed(text: string): Table {
  try {
    return parse(text);
  } catch (cause) {
    const [line = ""] = cause instanceof Error ? cause.message.split("\n") : [];
    throw new TomlEditError(line, { cause });
  }
}

function valueAt(table: unknown, path: readonly string[]): unknown {
  let value = table;
  for (const key of path) {
    if (typeof value !== "object" || value === null) return undefined;
    value = Object.hasOwn(value, key) ? (value as Table)[key] : undefined;
  }
  return value;
}

/** Holds that the text says what it said before and the settings, and nothing else. */
function checked(
  text: string,
  settings: readonly Setting[],
  before: Table,
): string {
  const wanted = structuredClone(before) as Record<string, unknown>;
  for (const { table, key, value } of settings) {
    let at = wanted;
    for (const name of table) {
      at[name] ??= {};
      at = at[name] as Record<string, unknown>;
    }
    at[key] = value;
  }
  let after: Table | null = null;
  try {
    after = parsed(text);
  } catch {
    // told below
  }
  if (after !== null && plain(after) === plain(wanted)) return text;
  throw new TomlEditError(
    `it is written in a way that is not edited here: set ${
      settings.map((one) => `${nameOf(one)} = ${JSON.stringify(one.value)}`)
        .join(", ")
    } by hand`,
  );
}

/** A value as text, whatever the order of keys. */
function plain(value: unknown): string {
  return JSON.stringify(value, (_, one) => {
    if (typeof one === "bigint") return `${one}n`;
    if (typeof one !== "object" || one === null || Array.isArray(one)) {
      return one;
    }
    if (one instanceof Date) return one.toISOString();
    return Object.fromEntries(
      Object.entries(one).sort(([a], [b]) => a < b ? -1 : 1),
    );
  });
}
