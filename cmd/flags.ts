/** The global flags, which may stand before a command or after it. @module */

/** For `parseCommandLine`: the flags of all that talk to containerd. */
export const SESSION_OPTIONS = {
  address: { type: "string", short: "a" },
  namespace: { type: "string", short: "n" },
  timeout: { type: "string" },
  debug: { type: "boolean", default: false },
} as const;

/** For `parseCommandLine`: those and the flags of all that keep artifacts. */
export const GLOBAL_OPTIONS = {
  ...SESSION_OPTIONS,
  "content-store": { type: "string" },
  root: { type: "string" },
} as const;

/** Splits the global flags off that stand before a command's name. */
export function splitLeadingFlags(
  args: readonly string[],
): { leading: string[]; rest: string[] } {
  let at = 0;
  while (at < args.length && /^-./.test(args[at]!)) {
    const name = args[at]!.replace(/^-+/, "");
    const option = Object.entries(GLOBAL_OPTIONS).find(([long, about]) =>
      long === name || ("short" in about && about.short === name)
    );
    if (option === undefined && !name.includes("=")) break;
    at += option?.[1].type === "string" ? 2 : 1;
  }
  return { leading: args.slice(0, at), rest: args.slice(at) };
}

/** The values of {@link SESSION_OPTIONS}. */
export interface SessionValues {
  readonly address?: string | undefined;
  readonly namespace?: string | undefined;
  readonly timeout?: string | undefined;
  readonly debug?: boolean | undefined;
}

/** The values of {@link GLOBAL_OPTIONS}. */
export interface GlobalValues extends SessionValues {
  readonly "content-store"?: string | undefined;
  readonly root?: string | undefined;
}

/** The snapshotter's name in containerd's configuration. @param said by `--snapshotter` */
export function snapshotterOf(said: string | undefined): string {
  return said ?? (Deno.env.get("CONTAINERD_SNAPSHOTTER") || "soci");
}
