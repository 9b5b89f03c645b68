/** What a command line says, as far as its permissions depend on it: read before the command is loaded. @module */
import { parseArgs } from "node:util";
import { draftSuffix } from "./given.ts";
import type { Line } from "./grants.ts";
import { daemonRoot } from "./root.ts";

/** Flags with a short form that take a value. A test compares these and the next with the commands'. */
export const SHORT_VALUE_FLAGS: Readonly<Record<string, string>> = {
  address: "a",
  namespace: "n",
  output: "o",
  platform: "p",
  user: "u",
};

/** All other flags that take a value. */
export const VALUE_FLAGS: readonly string[] = [
  ...[
    "config",
    "containerd",
    "containerd-config",
    "content-store",
    "existing-index",
    "face",
    "for",
  ],
  ...[
    "format",
    "from",
    "hosts-dir",
    "image",
    "image-ref",
    "label",
    "load-order",
  ],
  ...["log-format", "log-level", "max-concurrent-uploads", "max-size"],
  ...["min-layer-size", "optimizations", "password-fd", "password-file"],
  ...["prefetch-file", "prefetch-files-json", "read-ahead", "ref", "refresh"],
  ...[
    "program",
    "root",
    "run-flag",
    "share",
    "snapshotter",
    "soci-index-digest",
    "dst-user",
    "src-user",
  ],
  ...["span-size", "support", "svg", "timeout", "tlscacert", "tlscert"],
  ...["tlskey", "to", "until-http", "until-idle", "until-log", "until-port"],
  ...["policy", "workload", "ztoc-digest"],
];

const OPTIONS = Object.fromEntries([
  ...Object.entries(SHORT_VALUE_FLAGS).map(([name, short]) =>
    [name, { type: "string", short, multiple: true }] as const
  ),
  ...VALUE_FLAGS.map((name) =>
    [name, { type: "string", multiple: true }] as const
  ),
]);

/** Reads a command line. What is wrong with it the command itself tells. */
export function readLine(args: readonly string[]): Line {
  const { values, positionals } = parseArgs({
    args: [...args],
    options: OPTIONS,
    allowPositionals: true,
    strict: false,
  });
  const all = (flag: string): string[] => {
    const value = values[flag];
    const list: unknown[] = Array.isArray(value) ? value : [];
    return list.filter((one) => typeof one === "string");
  };
  const of = (flag: string) => all(flag).filter((value) => value !== "");
  return {
    values: of,
    value: (flag) => of(flag).at(-1),
    has: (flag) => values[flag] !== undefined,
    positionals,
    env: (name) => Deno.env.get(name) || undefined,
    root: () => daemonRoot(all("root").at(-1)),
    draftSuffix: draftSuffix(),
  };
}
