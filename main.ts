/**
 * soci-deno: starts containers before their images are downloaded.
 *
 * Picks the subcommand and maps what it throws to an exit code: 0 ok, 1 failure, 2 wrong usage.
 * @module
 */
import { UsageError } from "./cmd/command.ts";
import { type CommandEntry, COMMANDS } from "./cmd/mod.ts";
import { VERSION } from "./cmd/version.ts";

function overview(commands: readonly CommandEntry[]): string {
  const width = Math.max(0, ...commands.map(({ name }) => name.length));
  return [
    "soci-deno starts containers before their images are downloaded.",
    "",
    "Usage: soci-deno <command> [flags]",
    "",
    "Commands:",
    ...commands.map(({ name, summary }) =>
      `  ${name.padEnd(width)}  ${summary}`
    ),
    "",
    "`soci-deno <command> --help` tells all about a command.",
  ].join("\n");
}

/** One line per error of the chain, so that the cause is never lost. */
function describe(error: unknown): string {
  const parts: string[] = [];
  for (let e: unknown = error; e !== undefined && parts.length < 5;) {
    const message = e instanceof Error ? e.message : String(e);
    if (message !== "" && !parts.some((part) => part.includes(message))) {
      parts.push(message);
    }
    e = e instanceof Error ? e.cause : undefined;
  }
  return parts.join(": ");
}

const PERMISSIONS = ["read", "write", "net", "env", "run", "ffi"] as const;

/**
 * The compiled binary holds what its subcommands need together; this one shall hold what it needs
 * itself. What is given up cannot come back.
 */
function giveUpAllBut(needs: readonly Deno.PermissionName[]): void {
  for (const name of PERMISSIONS) {
    if (!needs.includes(name)) Deno.permissions.revokeSync({ name });
  }
}

/** Runs one command line and returns its exit code. */
export async function main(args: readonly string[]): Promise<number> {
  const [word, ...rest] = args;
  if (
    word === undefined || word === "--help" || word === "-h" || word === "help"
  ) {
    (word === undefined ? console.error : console.log)(overview(COMMANDS));
    return word === undefined ? 2 : 0;
  }
  if (word === "--version" || word === "-v" || word === "version") {
    console.log(`soci-deno ${VERSION}`);
    return 0;
  }
  const entry = COMMANDS.find(({ name, aliases }) =>
    name === word || aliases?.includes(word)
  );
  if (entry === undefined) {
    console.error(
      `soci-deno: no command "${word}"; \`soci-deno --help\` lists them`,
    );
    return 2;
  }
  giveUpAllBut(entry.needs);
  const command = await entry.load();
  if (rest.includes("--help") || rest.includes("-h")) {
    console.log(command.help.trim());
    return 0;
  }
  try {
    return await command.run(rest);
  } catch (error) {
    if (error instanceof UsageError) {
      console.error(
        `soci-deno ${word}: ${error.message} (see \`soci-deno ${word} --help\`)`,
      );
      return 2;
    }
    console.error(`soci-deno ${word}: ${describe(error)}`);
    if (Deno.env.get("SOCI_DENO_DEBUG") !== undefined) console.error(error);
    return 1;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
