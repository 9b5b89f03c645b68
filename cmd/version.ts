/** Which release this is, and what it was built from. @module */

/** The release of soci-deno; the same as in deno.json. */
export const VERSION = "0.1.0";

/** Set by the bundler. */
declare const SOCI_DENO_BUILT_FROM: string | undefined;

/** For `--version`: the release, and of a bundle or a binary the commit that it was made of, with its date. */
export function versionLine(): string {
  const built = typeof SOCI_DENO_BUILT_FROM === "string"
    ? SOCI_DENO_BUILT_FROM
    : "";
  return built === "" ? VERSION : `${VERSION} (${built})`;
}
