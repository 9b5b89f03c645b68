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

/** The release of the existing tool whose commands and flags those under its name are. */
const SOCI_RELEASE = "v0.16.1";

/**
 * For `--version` under the names of the existing tools, as they say it: other programs compare the first number with
 * what they need at least, such as nerdctl 0.10.0.
 */
export function sociVersionLine(
  name: "soci" | "soci-snapshotter-grpc",
): string {
  return `${name} version ${SOCI_RELEASE} soci-deno-${VERSION}`;
}
