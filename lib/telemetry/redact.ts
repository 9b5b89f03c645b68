/**
 * A URL that is safe to log: user info and query (signatures, tokens) are left out.
 *
 * @example
 * ```ts
 * import { redactUrl } from "./redact.ts";
 * import assert from "node:assert/strict";
 * assert.equal(redactUrl("https://u:p@host/blob?sig=1"), "https://host/blob?…");
 * ```
 */
export function redactUrl(url: string | URL): string {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    return "(unreadable URL)"; // it may hold a secret in any place, so none of it is shown
  }
  return `${parsed.protocol}//${parsed.host}${parsed.pathname}${
    parsed.search === "" ? "" : "?…"
  }`;
}
