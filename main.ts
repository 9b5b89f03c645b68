/**
 * soci-deno: starts containers before their images are downloaded.
 *
 * Picks the subcommand and starts it where it has the permissions it needs and no others. Exit codes: 0 ok, 1
 * failure, 2 wrong usage.
 * @module
 */
import process from "node:process";
import { splitLeadingFlags } from "./cmd/flags.ts";
import type { CommandEntry } from "./cmd/mod.ts";
import { didYouMean } from "./cmd/nearest.ts";
import { type Persona, PERSONAS } from "./cmd/run_command.ts";
import { VERSION, versionLine } from "./cmd/version.ts";

function overview(
  called: string,
  commands: readonly CommandEntry[],
): string {
  const shown = commands.filter(({ hidden }) => hidden !== true);
  const width = Math.max(0, ...shown.map(({ name }) => name.length));
  return [
    "soci-deno starts containers before their images are downloaded.",
    "",
    `Usage: ${called} <command> [flags]`,
    "",
    "Commands:",
    ...shown.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`),
    "",
    `\`${called} <command> --help\` tells all about a command.`,
  ].join("\n");
}

/** A link or copy named `soci` acts as the existing tool, and so does `soci-deno soci …`. */
function calledAsSoci(): boolean {
  const names = [process.argv0, Deno.mainModule];
  return names.some((name) => /(^|\/)soci(\.[jt]s)?$/.test(name));
}

/** Runs one command line and returns its exit code. */
export async function main(args: readonly string[]): Promise<number> {
  const { soci, "soci-deno": self } = PERSONAS;
  if (args[0] === "soci") return await run(soci, [], args.slice(1), []);
  return await run(calledAsSoci() ? soci : self, [], args, []);
}

/**
 * Takes the next word of a command line.
 * @param path the words so far.
 * @param flags global flags that stood before them.
 */
async function run(
  persona: Persona,
  path: readonly string[],
  args: readonly string[],
  flags: readonly string[],
  commands: readonly CommandEntry[] = persona.commands,
): Promise<number> {
  const { leading, rest: words } = splitLeadingFlags(args);
  const [word, ...rest] = words;
  const called = [persona.name, ...path].join(" ");
  const first = path.length === 0;
  if (
    word === undefined || word === "--help" || word === "-h" || word === "help"
  ) {
    (word === undefined ? console.error : console.log)(
      overview(called, commands),
    );
    return word === undefined ? persona.usageExitCode : 0;
  }
  if (first && (word === "--version" || word === "-v" || word === "version")) {
    console.log(
      `${persona.name} ${persona.name === "soci" ? VERSION : versionLine()}`,
    );
    return 0;
  }
  const entry = commands.find(({ name, aliases }) =>
    name === word || aliases?.includes(word)
  );
  if (entry === undefined) {
    const names = commands.filter(({ hidden }) => hidden !== true)
      .map(({ name }) => name);
    const next = didYouMean(word, names) || `; \`${called} --help\` lists them`;
    console.error(`${called}: no command "${word}"${next}`);
    return persona.usageExitCode;
  }
  const before = [...flags, ...leading];
  const here = [...path, entry.name];
  if ("commands" in entry) {
    return await run(persona, here, rest, before, entry.commands);
  }
  const { launch } = await import("./cmd/launch.ts");
  return await launch({
    persona: persona.name,
    words: here,
    called: `${called} ${word}`,
    args: [...before, ...rest],
  });
}

if (import.meta.main) Deno.exit(await main(Deno.args));
