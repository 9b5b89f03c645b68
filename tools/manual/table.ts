/** The table of completion, as a module of the product. @module */
import { briefly, type CommandHelp, type GroupHelp } from "./help.ts";

/** What may stand where a flag wants one of few words, and for the commands whose argument is one of few. */
const CHOICES: Readonly<Record<string, readonly string[]>> = {
  "--content-store": ["containerd", "soci"],
  "--existing-index": ["warn", "skip", "allow"],
  "--face": ["auto", "fuse", "erofs"],
  "--format": ["oci-archive", "oci-dir"],
  "--log-format": ["json", "text"],
  "--log-level": ["trace", "debug", "info", "warn", "error", "fatal", "panic"],
  "--optimizations": ["xattr"],
};
const ARGUMENTS: Readonly<Record<string, readonly string[]>> = {
  config: ["default", "dump", "check", "reference"],
  completion: ["bash", "zsh", "fish"],
};

/** Values that are paths. */
const FILES = /FILE|DIR|PATH|SOCKET/;

/** `cmd/completion/lines.ts`, not formatted. */
export function completionModule(
  commands: readonly CommandHelp[],
  groups: readonly GroupHelp[],
): string {
  const lines = commands.map(({ words, names, summary, flags }) => ({
    words,
    names,
    summary,
    arguments: ARGUMENTS[words] ?? [],
    flags: flags.map(({ short, long, value, about }) => [
      ...[short ?? "", long, value ?? "", briefly(about)],
      CHOICES[long]?.join(" ") ??
        (value !== null && FILES.test(value) ? "files" : ""),
    ]),
  }));
  return `/** Written by \`deno task manual\` from the help of the commands. @module */
import type { CompletedGroup, CompletedLine } from "./line.ts";

/** Words that are followed by another one. */
export const GROUPS: readonly CompletedGroup[] = ${JSON.stringify(groups)};

/** All commands, in the order of the overview. */
export const LINES: readonly CompletedLine[] = ${JSON.stringify(lines)};
`;
}
