/** Runs one command and tells people what it throws. @module */
import {
  type Command,
  ExitRequest,
  HelpRequest,
  UsageError,
} from "./command.ts";
import type { SingleCommand } from "./mod.ts";
import { type Persona, PERSONAS } from "./personas.ts";
import { plainPermissions } from "../lib/telemetry/mod.ts";
import { guardTerminal } from "./terminal.ts";

/** A command line whose command is known. Can be sent to a Worker. */
export interface Call {
  readonly persona: Persona["name"];
  /** The command's words, by their full names: `["index", "list"]`. */
  readonly words: readonly string[];
  /** How the user called it, for messages. */
  readonly called: string;
  readonly args: readonly string[];
}

/** The command of a call. @throws Error if there is none */
function commandOf({ persona, words }: Call): SingleCommand {
  let commands = PERSONAS[persona].commands;
  for (const word of words) {
    const entry = commands.find(({ name }) => name === word);
    if (entry === undefined) break;
    if (!("commands" in entry)) return entry;
    commands = entry.commands;
  }
  throw new Error(`no command ${words.join(" ")}`);
}

/** Loads the modules of a command. */
export async function loadCommand(call: Call): Promise<Command> {
  return await commandOf(call).load();
}

/** Runs a command here, in this isolate. @returns the exit code: 0 ok, 1 failure, 2 wrong usage */
export async function runCommand(call: Call): Promise<number> {
  guardTerminal();
  const debug = debugging();
  let help = "";
  try {
    const command = await loadCommand(call);
    help = command.help.trim();
    return await command.run([...call.args]);
  } catch (error) {
    if (error instanceof HelpRequest) {
      console.log(help);
      return 0;
    }
    return tellError(error, call, debug);
  }
}

/** One line of what went wrong. @returns the exit code */
export function tellError(
  error: unknown,
  { persona, called }: Call,
  debug: boolean = debugging(),
): number {
  if (error instanceof ExitRequest) return error.code;
  guardTerminal();
  // The existing tool names itself alone.
  const prefix = persona === "soci" ? "soci" : called;
  if (error instanceof UsageError) {
    const hint = persona === "soci" ? "" : ` (see \`${called} --help\`)`;
    console.error(`${prefix}: ${error.message}${hint}`);
    return PERSONAS[persona].usageExitCode;
  }
  console.error(`${prefix}: ${describe(error)}`);
  if (debug) console.error(error);
  return 1;
}

/** Whether errors are shown with their stacks. Where the environment may not be read, they are not. */
function debugging(): boolean {
  const variable = "SOCI_DENO_DEBUG";
  const { state } = Deno.permissions.querySync({ name: "env", variable });
  return state === "granted" && Deno.env.get(variable) !== undefined;
}

/** One line per error of the chain, so that the cause is never lost. */
function describe(error: unknown): string {
  const parts: string[] = [];
  for (let e: unknown = error; e !== undefined && parts.length < 5;) {
    // grpc-js adds its code before and a note after the message; the outer error has said both better.
    const message = plainPermissions(
      e instanceof Error ? e.message : String(e),
    )
      .replace(/^\d+ [A-Z_]+: /, "").replace(/\s*Resolution note:\s*$/, "");
    if (message !== "" && !parts.some((part) => part.includes(message))) {
      parts.push(message);
    }
    e = e instanceof Error ? e.cause : undefined;
  }
  return parts.join(": ");
}
