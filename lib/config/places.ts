/** On which line of a TOML text a key stands. @module */

/** A bare or quoted part of a key and what follows it. */
const PART = /^\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*/;

/** Splits `a."b.c".d`; null where the text is no key. */
function keyParts(text: string): string[] | null {
  const parts: string[] = [];
  for (let rest = text;;) {
    const match = rest.match(PART);
    if (match === null) return null;
    parts.push(match[1] ?? match[2] ?? match[3] ?? "");
    rest = rest.slice(match[0].length);
    if (rest === "") return parts;
    if (!rest.startsWith(".")) return null;
    rest = rest.slice(1);
  }
}

/** What stands left of the first `=` outside quotes; null where there is none. */
function leftOfEquals(line: string): string | null {
  const [left] = line.match(/^(?:[^="'#]|"(?:[^"\\]|\\.)*"|'[^']*')*(?==)/) ??
    [];
  return left ?? null;
}

/**
 * The line of a key, or of the nearest table around it that has one: of a key in an inline table, the line
 * where that begins. For messages: a text in several lines that looks like a key may mislead it.
 * @param key in lower case, its parts apart; parts that count in a list, `0`, are passed over.
 * @returns from 1; null where nothing of it is found.
 */
export function lineOfKey(toml: string, key: readonly string[]): number | null {
  const wanted = key.filter((part) => !/^\d+$/.test(part));
  let best = 0;
  let found: number | null = null;
  let table: readonly string[] = [];
  toml.split("\n").forEach((line, at) => {
    const [, header] = line.match(/^\s*\[\[?([^\]]+)\]\]?\s*(?:#.*)?$/) ?? [];
    const left = header === undefined ? leftOfEquals(line) : null;
    const parts = keyParts(header ?? left ?? "")?.map((p) => p.toLowerCase());
    if (parts == null) return;
    if (header !== undefined) table = parts;
    const full = header !== undefined ? parts : [...table, ...parts];
    const fits = full.every((part, i) => part === wanted[i]?.toLowerCase());
    if (fits && full.length > best) {
      best = full.length;
      found = at + 1;
    }
  });
  return found;
}
