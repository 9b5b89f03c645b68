/**
 * JSON as Go's encoding/json writes it: no white space, keys in the order given, and `<`, `>`, `&`,
 * U+2028 and U+2029 escaped. The existing SOCI daemon decodes an index, encodes it again and keeps
 * it under the first digest, so any other form is lost to it.
 *
 * @param options.indent spaces of one level, for people; then lines are broken too.
 *
 * @example
 * ```ts
 * import { canonicalJson } from "./json.ts";
 * import assert from "node:assert/strict";
 * assert.equal(canonicalJson({ a: "<b>" }), '{"a":"\\u003cb\\u003e"}');
 * ```
 */
export function canonicalJson(
  value: unknown,
  { indent = 0 }: { readonly indent?: number } = {},
): string {
  return JSON.stringify(value, null, indent)
    .replace(
      /[<>&\u2028\u2029]/g,
      (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
    );
}

/** A map with its keys sorted by bytes, as Go writes maps. */
export function sortedMap(
  map: Readonly<Record<string, string>>,
): Record<string, string> {
  const encoder = new TextEncoder();
  const compare = (a: Uint8Array, b: Uint8Array): number => {
    for (let i = 0; i < Math.min(a.length, b.length); i++) {
      if (a[i] !== b[i]) return a[i]! - b[i]!;
    }
    return a.length - b.length;
  };
  return Object.fromEntries(
    Object.entries(map)
      .map(([key, value]) => ({ key, value, bytes: encoder.encode(key) }))
      .sort((a, b) => compare(a.bytes, b.bytes))
      .map(({ key, value }) => [key, value]),
  );
}
