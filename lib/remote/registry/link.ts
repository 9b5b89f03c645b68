/** One link of a `Link` header (RFC 8288 §3). */
export interface Link {
  /** As written: relative or absolute. */
  readonly target: string;
  /** By lower-case name; if a name occurs twice, the first wins. */
  readonly parameters: ReadonlyMap<string, string>;
}

/** A longer header is ignored. The limit is generous, because signed addresses are long. */
const MAX_HEADER_LENGTH = 16_384;

const BETWEEN = /[\s,]*/y;
const TARGET = /<([^<>]*)>/y;
const PARAMETER =
  /\s*;\s*(?:([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*)))?)?/y;

/**
 * Parses a `Link` header. It may hold several links, and may be several headers joined by commas.
 * The first thing that cannot be parsed ends the list.
 *
 * @example
 * ```ts
 * import { parseLinks } from "./link.ts";
 * const [link] = parseLinks('<https://r.example/v2/?a=1,2>; title="a, b"; rel="last next"');
 * if (link?.parameters.get("rel") !== "last next") throw new Error("read wrongly");
 * ```
 */
export function parseLinks(header: string): Link[] {
  const links: Link[] = [];
  if (header.length > MAX_HEADER_LENGTH) return links;
  let at = 0;
  const next = (pattern: RegExp) => {
    pattern.lastIndex = at;
    const found = pattern.exec(header);
    if (found !== null) at = pattern.lastIndex;
    return found;
  };
  while (true) {
    next(BETWEEN);
    const target = next(TARGET)?.[1];
    if (target === undefined) return links;
    const parameters = new Map<string, string>();
    for (
      let found = next(PARAMETER);
      found !== null;
      found = next(PARAMETER)
    ) {
      const [, name, quoted, plain = ""] = found;
      if (name === undefined || parameters.has(name.toLowerCase())) continue;
      const value = quoted?.replace(/\\(.)/g, "$1") ?? plain;
      parameters.set(name.toLowerCase(), value);
    }
    links.push({ target, parameters });
    if (!/^\s*(?:,|$)/.test(header.slice(at))) return links;
  }
}

/** The next page's address as written; null on the last page. */
export function nextLink(header: string | null): string | null {
  const found = parseLinks(header ?? "").find(({ parameters }) =>
    // A link with an anchor is about another document than this one.
    !parameters.get("anchor") &&
    (parameters.get("rel") ?? "").toLowerCase().replace(/^'(.*)'$/, "$1")
      .split(/\s+/).includes("next")
  );
  return found?.target ?? null;
}
