/** Secrets are taken out of what is given to others, whatever put them there. @module */

const REMOVED = "(removed)";
/** Names of values that are secrets. */
const SECRET_NAME =
  /pass(word|wd|phrase)|secret|token|authorization|credential|cookie|^auth$|private.?key/i;
/**
 * Texts in which a secret stands, and what is left of them. Repetitions are bounded, so that no text takes longer than
 * its length allows.
 */
const SECRET_TEXT: readonly (readonly [RegExp, string])[] = [
  // user:password@ of an address, also one without a scheme
  [/([a-z][a-z0-9+.-]{0,20}:\/\/)[^\s/?#"'<>]{0,4096}@/gi, `$1${REMOVED}@`],
  // the query of an address: signatures
  [/([a-z][a-z0-9+.-]{0,20}:\/\/[^\s?#"'<>]{0,4096})\?[^\s"'<>]*/gi, "$1?…"],
  [
    /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z ]*PRIVATE KEY-----|$)/g,
    REMOVED,
  ],
  [/\b(Bearer|Basic|Negotiate|Digest)\s+[\w+/=.~:-]{4,}/gi, `$1 ${REMOVED}`],
  // a token of three base64 parts
  [/\beyJ[\w-]{4,}\.[\w-]{4,}\.[\w-]*/g, REMOVED],
  // name=value, `name: value` and "name":"value" within a text
  [
    /(["']?\b[\w.-]{0,64}(?:passw(?:or)?d|passphrase|secret|token|authorization|credential|cookie|signature)[\w.-]{0,64}["']?\s{0,8}(?:=|:\s|:(?=["']))\s{0,8})("(?:[^"\\]|\\.)*"|'[^']*'|[^\s,;&"'}\]]+)/gi,
    `$1${REMOVED}`,
  ],
];

/**
 * A text without secrets.
 *
 * @example
 * ```ts
 * import { scrubText } from "./scrub.ts";
 * import assert from "node:assert/strict";
 * assert.equal(scrubText("GET https://u:p@host/a?sig=1"), "GET https://(removed)@host/a?…");
 * ```
 */
export function scrubText(text: string): string {
  return SECRET_TEXT.reduce(
    (left, [pattern, by]) => left.replace(pattern, by),
    text,
  );
}

/** A value for JSON without secrets: in texts, and under names that say so. */
export function scrub(value: unknown): unknown {
  if (typeof value === "string") return scrubText(value);
  if (Array.isArray(value)) return value.map(scrub);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [
      scrubText(name),
      typeof inner === "string" && SECRET_NAME.test(name) && inner !== ""
        ? REMOVED
        : scrub(inner),
    ]),
  );
}
