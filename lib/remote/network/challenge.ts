/** One way to log in that a registry offers (RFC 9110 §11.6.1). */
export interface Challenge {
  /** Lower case: `basic`, `bearer`. */
  readonly scheme: string;
  /** Parameters by lower-case name. */
  readonly parameters: ReadonlyMap<string, string>;
}

/** A longer header is ignored. */
const MAX_HEADER_LENGTH = 8192;

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+/;
/**
 * An unquoted value. Looser than the specification, because registries leave addresses unquoted.
 */
const UNQUOTED = /^[^\s",]+/;
const QUOTED = /^"((?:[^"\\]|\\.)*)"/;
/** Quotes that are no quotes in HTTP, although some servers think so. */
const SINGLE_QUOTED = /^'(.*)'$/;
const SEPARATORS = /^[\s,]+/;

/**
 * Parses a `WWW-Authenticate` header, which may hold several challenges. The first thing that
 * cannot be parsed ends the list: a half-understood challenge must not decide where credentials go.
 *
 * @example
 * ```ts
 * import { type Challenge, parseChallenges } from "./challenge.ts";
 * import assert from "node:assert/strict";
 * const [first]: Challenge[] = parseChallenges('Bearer realm="https://auth.example/token",service="r"');
 * assert.equal(first!.parameters.get("realm"), "https://auth.example/token");
 * ```
 */
export function parseChallenges(header: string): Challenge[] {
  const challenges: Challenge[] = [];
  if (header.length > MAX_HEADER_LENGTH) return challenges;
  let rest = header.trim();
  let current: { scheme: string; parameters: Map<string, string> } | null =
    null;
  while (rest !== "") {
    const name = TOKEN.exec(rest)?.[0];
    if (name === undefined) break;
    rest = rest.slice(name.length);
    const equals = /^\s*=\s*/.exec(rest)?.[0];
    if (equals === undefined) {
      current = { scheme: name.toLowerCase(), parameters: new Map() };
      challenges.push(current);
    } else {
      rest = rest.slice(equals.length);
      const quoted = QUOTED.exec(rest);
      const value = quoted?.[1]?.replace(/\\(.)/g, "$1") ??
        UNQUOTED.exec(rest)?.[0];
      const ticket = value === undefined && /^(?:,|$)/.test(rest);
      if (current === null || (value === undefined && !ticket)) break;
      if (value === undefined) {
        rest = rest.replace(SEPARATORS, "");
        continue; // a token in place of parameters, such as Negotiate's
      }
      rest = rest.slice(quoted?.[0].length ?? value.length);
      const plain = quoted === null ? SINGLE_QUOTED.exec(value)?.[1] : value;
      current.parameters.set(name.toLowerCase(), plain ?? value);
    }
    rest = rest.replace(SEPARATORS, "");
  }
  return challenges;
}
