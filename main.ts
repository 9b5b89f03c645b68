/**
 * soci-deno: starts containers before their images are downloaded.
 *
 * Picks the subcommand and starts it where it has the permissions it needs and no others. Exit codes: 0 ok, 1
 * failure, 2 wrong usage.
 * @module
 */
import { splitLeadingFlags } from "./cmd/flags.ts";
import type { CommandEntry } from "./cmd/mod.ts";
import { didYouMean } from "./cmd/nearest.ts";
import { type Persona, PERSONAS } from "./cmd/personas.ts";
import { sociVersionLine, versionLine } from "./cmd/version.ts";

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

/** The names that the links or copies have by which this program was started. */
async function calledBy(): Promise<string[]> {
  const paths = [Deno.mainModule];
  // Loaded where Deno itself is not what was called: it takes half as long as all the rest.
  if (Deno.build.standalone) {
    paths.push((await import("node:process")).default.argv0);
  }
  return paths.map((path) =>
    path.slice(path.lastIndexOf("/") + 1).replace(/\.[jt]s$/, "")
  );
}

/** Runs one command line and returns its exit code. */
export async function main(args: readonly string[]): Promise<number> {
  const { soci, "soci-deno": self } = PERSONAS;
  if (args[0] === "soci") return await run(soci, [], args.slice(1), []);
  if (args[0] === SOCI_DAEMON) return await runAsDaemon(args.slice(1));
  const names = await calledBy();
  if (names.includes(SOCI_DAEMON)) return await runAsDaemon(args);
  return await run(names.includes("soci") ? soci : self, [], args, []);
}

/** The existing daemon's name: a link of that name starts ours by the lines of its units. */
const SOCI_DAEMON = "soci-snapshotter-grpc";

/** Its command line has no word but `config`. */
async function runAsDaemon(args: readonly string[]): Promise<number> {
  const [first, ...rest] = args;
  if (first === "--version" || first === "-v") {
    console.log(sociVersionLine(SOCI_DAEMON));
    return 0;
  }
  const { launch } = await import("./cmd/launch.ts");
  const isConfig = first === "config";
  return await launch({
    persona: "soci-deno",
    words: [isConfig ? "config" : "serve"],
    called: isConfig ? `${SOCI_DAEMON} config` : SOCI_DAEMON,
    args: isConfig ? rest : args,
  });
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
    const code = word === undefined ? persona.noWordExitCode : 0;
    (code === 0 ? console.log : console.error)(overview(called, commands));
    return code;
  }
  if (first && (word === "--version" || word === "-v" || word === "version")) {
    console.log(
      persona.name === "soci"
        ? sociVersionLine("soci")
        : `soci-deno ${versionLine()}`,
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
    const { says, exitCode } = persona.unknownWord;
    console.error(says?.(word) ?? `${called}: no command "${word}"${next}`);
    return exitCode;
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
