/**
 * soci-deno: starts containers before their images are downloaded.
 *
 * Picks the subcommand and maps what it throws to an exit code: 0 ok, 1 failure, 2 wrong usage.
 * @module
 */
import process from "node:process";
import { HelpRequest, UsageError } from "./cmd/command.ts";
import { splitLeadingFlags } from "./cmd/flags.ts";
import { didYouMean } from "./cmd/nearest.ts";
import { type CommandEntry, COMMANDS, SOCI_COMMANDS } from "./cmd/mod.ts";
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

/** One line per error of the chain, so that the cause is never lost. */
function describe(error: unknown): string {
  const parts: string[] = [];
  for (let e: unknown = error; e !== undefined && parts.length < 5;) {
    // grpc-js adds its code before and a note after the message; the outer error has said both better.
    const message = (e instanceof Error ? e.message : String(e))
      .replace(/^\d+ [A-Z_]+: /, "").replace(/\s*Resolution note:\s*$/, "");
    if (message !== "" && !parts.some((part) => part.includes(message))) {
      parts.push(message);
    }
    e = e instanceof Error ? e.cause : undefined;
  }
  return parts.join(": ");
}

const PERMISSIONS = ["read", "write", "net", "env", "run", "ffi"] as const;

/**
 * The compiled binary has the permissions that its subcommands need together; this subcommand should
 * keep only its own. A permission that is given up cannot be regained.
 */
function giveUpAllBut(needs: readonly Deno.PermissionName[]): void {
  for (const name of PERMISSIONS) {
    if (!needs.includes(name)) Deno.permissions.revokeSync({ name });
  }
}

/** Whether errors are shown with their stacks. Where the environment may not be read, they are not. */
function debugging(): boolean {
  const variable = "SOCI_DENO_DEBUG";
  const { state } = Deno.permissions.querySync({ name: "env", variable });
  return state === "granted" && Deno.env.get(variable) !== undefined;
}

/** Under which name the program acts: as itself, or as the existing tool. */
interface Persona {
  readonly name: "soci-deno" | "soci";
  readonly commands: readonly CommandEntry[];
  /** The exit code for wrong usage; the existing tool knows one failure only. */
  readonly usageExitCode: 1 | 2;
}

const SELF: Persona = {
  name: "soci-deno",
  commands: COMMANDS,
  usageExitCode: 2,
};
const SOCI: Persona = {
  name: "soci",
  commands: SOCI_COMMANDS,
  usageExitCode: 1,
};

/** A link or copy named `soci` acts as the existing tool, and so does `soci-deno soci …`. */
function calledAsSoci(): boolean {
  const names = [process.argv0, Deno.mainModule];
  return names.some((name) => /(^|\/)soci(\.[jt]s)?$/.test(name));
}

/** Runs one command line and returns its exit code. */
export async function main(args: readonly string[]): Promise<number> {
  if (args[0] === "soci") return await run(SOCI, [], args.slice(1), []);
  return await run(calledAsSoci() ? SOCI : SELF, [], args, []);
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
      `${persona.name} ${persona === SOCI ? VERSION : versionLine()}`,
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
  if ("commands" in entry) {
    const here = [...path, entry.name];
    return await run(persona, here, rest, before, entry.commands);
  }
  const debug = debugging(); // asked before the permission may be given up
  giveUpAllBut(entry.needs);
  // The existing tool names itself alone.
  const prefix = persona === SOCI ? "soci" : `${called} ${word}`;
  let help = "";
  try {
    const command = await entry.load();
    help = command.help.trim();
    return await command.run([...before, ...rest]);
  } catch (error) {
    if (error instanceof HelpRequest) {
      console.log(help);
      return 0;
    }
    if (error instanceof UsageError) {
      const hint = persona === SOCI
        ? ""
        : ` (see \`${called} ${word} --help\`)`;
      console.error(`${prefix}: ${error.message}${hint}`);
      return persona.usageExitCode;
    }
    console.error(`${prefix}: ${describe(error)}`);
    if (debug) console.error(error);
    return 1;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
