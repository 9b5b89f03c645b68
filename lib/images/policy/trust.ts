import type { Repository } from "../../remote/registry/mod.ts";

/** Which repositories may supply indexes, as patterns. */
export interface Trust {
  /** Indexes found by referrers. */
  readonly v1: readonly string[];
  /** Indexes named by the image's manifest. */
  readonly v2: readonly string[];
}

/**
 * Whether a repository matches one of the patterns.
 * @param patterns of `host/repository`. `*` matches any characters but a slash, `**` any at all.
 *
 * @example
 * ```ts
 * import { isNamed } from "./trust.ts";
 * const repository = { host: "registry.example", repository: "team/app" };
 * if (!isNamed(repository, ["registry.example/team/*"])) throw new Error("it is one of the team's");
 * if (isNamed(repository, ["registry.example/*"])) throw new Error("a star does not stand for a slash");
 * ```
 */
export function isNamed(
  { host, repository }: Repository,
  patterns: readonly string[],
): boolean {
  const name = `${host}/${repository}`;
  return patterns.some((pattern) => expression(pattern).test(name));
}

function expression(pattern: string): RegExp {
  const source = pattern.split(/(\*+)/).map((part) => {
    if (part === "*") return "[^/]*";
    return part.startsWith("*") ? ".*" : RegExp.escape(part);
  }).join("");
  return new RegExp(`^${source}$`);
}
