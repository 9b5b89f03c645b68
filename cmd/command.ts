/**
 * What a subcommand is, and the helpers every subcommand shares: argument parsing with clear usage
 * errors, and the reading of sizes.
 * @module
 */
import { parseArgs, type ParseArgsConfig } from "node:util";
import { didYouMean } from "./nearest.ts";

/** One subcommand of the binary; `mod.ts` lists their names. */
export interface Command {
  /** The whole text of `--help`. */
  readonly help: string;
  /**
   * Runs the subcommand.
   * @returns the exit code: 0 ok, 1 failure.
   * @throws UsageError when the arguments are wrong (exit code 2).
   */
  run(args: string[]): Promise<number>;
}

/** The command line is wrong: `main` prints the message and exits with 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** `--help` or `-h` was among the flags: `main` prints the command's help. */
export class HelpRequest extends Error {
  override readonly name = "HelpRequest";
}

/** The process shall end at once and say nothing. A Worker cannot end it. */
export class ExitRequest extends Error {
  override readonly name = "ExitRequest";

  constructor(readonly code: number) {
    super(`exit with code ${code}`);
  }
}

const HELP_FLAG = { type: "boolean", short: "h" } as const;

/**
 * `node:util` parseArgs whose failures are usage errors of one line.
 * @throws HelpRequest, UsageError
 */
export function parseCommandLine<T extends ParseArgsConfig>(
  given: T,
): ReturnType<typeof parseArgs<T>> {
  const config: T = {
    ...given,
    args: withNegativeNumbers(given.args ?? []),
  };
  // Parse leniently first: a user who asks for help may have other flags wrong.
  const { tokens } = parseArgs({
    args: config.args ?? [],
    options: { ...config.options, help: HELP_FLAG },
    allowPositionals: true,
    strict: false,
    tokens: true,
  });
  const flagsGiven = tokens.filter((token) => token.kind === "option");
  if (flagsGiven.some(({ name }) => name === "help")) throw new HelpRequest();
  const flags = Object.keys({ ...config.options, help: HELP_FLAG });
  for (const token of flagsGiven) {
    if (token.rawName.startsWith("--") && !flags.includes(token.name)) {
      throw new UsageError(
        `there is no flag ${token.rawName}${
          didYouMean(token.rawName, flags.map((flag) => `--${flag}`))
        }`,
      );
    }
    // Most likely the value was forgotten. It is not shown, because it may be a secret.
    if (token.inlineValue === false && /^-./.test(token.value)) {
      throw new UsageError(
        `${token.rawName} lacks its value; one that begins with a dash is written --${token.name}=VALUE`,
      );
    }
  }
  try {
    return parseArgs(config);
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new UsageError(message.split(/\. |\n/)[0] ?? message, { cause });
  }
}

/** `--flag -1` as `--flag=-1`: a number is no flag, and what is wrong with it is the flag's to say. */
function withNegativeNumbers(args: readonly string[]): string[] {
  const joined: string[] = [];
  for (const arg of args) {
    const before = joined.at(-1);
    if (
      /^-\d+$/.test(arg) && before !== undefined && /^--[^=]+$/.test(before)
    ) {
      joined[joined.length - 1] = `${before}=${arg}`;
    } else joined.push(arg);
  }
  return joined;
}

const SIZE_UNITS: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  k: 2 ** 10,
  kb: 2 ** 10,
  kib: 2 ** 10,
  m: 2 ** 20,
  mb: 2 ** 20,
  mib: 2 ** 20,
  g: 2 ** 30,
  gb: 2 ** 30,
  gib: 2 ** 30,
};

/**
 * Reads a size flag such as `4194304`, `4MiB` or `10mb` (all units are powers of 1024) as bytes.
 * @throws UsageError when it is no whole, non-negative number of bytes.
 */
export function parseSizeBytes(flag: string, text: string): number {
  const match = text.trim().toLowerCase().match(/^(\d+(?:\.\d+)?)\s*([a-z]*)$/);
  const unit = match ? SIZE_UNITS[match[2]!] : undefined;
  const bytes = match && unit !== undefined ? Number(match[1]) * unit : NaN;
  // These two in the words of the existing tools.
  if (/^-\d+$/.test(text.trim())) {
    throw new UsageError(
      `${
        flag.slice(2).replaceAll("-", " ")
      } must be >= 0, but ${flag} is ${text}`,
    );
  }
  if (bytes > Number.MAX_SAFE_INTEGER) {
    throw new UsageError(
      `invalid value "${text}" for flag ${
        flag.slice(1)
      }: out of range (${flag} takes bytes, as 4194304 or 4MiB)`,
    );
  }
  if (!Number.isSafeInteger(bytes)) {
    throw new UsageError(
      `${flag}: "${text}" is no size in bytes (write 4194304 or 4MiB)`,
    );
  }
  return bytes;
}

/** Bytes for people: `17.3 MB` (decimal units, as registries and links are rated). */
export function formatBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/**
 * The one argument of a command line. @param usage how the command is called, for whoever says none or more.
 * @throws UsageError
 */
export function onlyArgument(
  positionals: readonly string[],
  usage: string,
): string {
  const [argument, ...extra] = positionals;
  if (argument === undefined || extra.length > 0) {
    throw new UsageError(`say \`${usage}\``);
  }
  return argument;
}

/** For a command that takes flags alone. @param name of the command. @throws UsageError */
export function noArgument(
  positionals: readonly string[],
  name: string,
): void {
  if (positionals.length > 0) {
    throw new UsageError(`${name} takes no argument "${positionals[0]}"`);
  }
}
