/** What the commands' `--help` says, read: one text is the source of completion, manual pages and reference. @module */
import { COMMANDS } from "../../cmd/mod.ts";

/** A flag as a help text tells it. */
export interface HelpFlag {
  /** `-p`; null without one. */
  readonly short: string | null;
  /** `--platform`. */
  readonly long: string;
  /** What its value is called, such as `DIR`; null where it takes none. */
  readonly value: string | null;
  /** What it does, as one line. */
  readonly about: string;
}

/** One command and its help. */
export interface CommandHelp {
  /** Its words: `index list`. */
  readonly words: string;
  /** Its last word and other words for that. */
  readonly names: readonly string[];
  /** One line. */
  readonly summary: string;
  /** The whole text of `--help`. */
  readonly text: string;
  /** Each way of calling it. */
  readonly usage: readonly string[];
  readonly flags: readonly HelpFlag[];
}

/** A word that is followed by another one. */
export interface GroupHelp {
  readonly words: string;
  readonly summary: string;
}

/** All commands that people call, in the order of the overview, and the groups that they are in. */
export async function readHelp(): Promise<
  { readonly commands: CommandHelp[]; readonly groups: GroupHelp[] }
> {
  const commands: CommandHelp[] = [];
  const groups: GroupHelp[] = [];
  for (const entry of COMMANDS) {
    if (entry.hidden === true) continue;
    const inside = "commands" in entry ? entry.commands : [entry];
    const before = "commands" in entry ? `${entry.name} ` : "";
    if ("commands" in entry) {
      groups.push({ words: entry.name, summary: entry.summary });
    }
    for (const { name, aliases = [], summary, load } of inside) {
      const text = (await load()).help.trim();
      commands.push({
        ...{ words: `${before}${name}`, names: [name, ...aliases], summary },
        ...{ text, usage: usageOf(text), flags: flagsOf(text) },
      });
    }
  }
  return { commands, groups };
}

const FLAG =
  /^ {2}(?:(-\w), )?(--[a-z][a-z-]*)(?: (\S+))?(?: {2,}(.*)| (.*)|)$/;

/** The flags of a help text: each begins a line, two spaces in, and the lines below it that are further in go on. */
export function flagsOf(text: string): readonly HelpFlag[] {
  const flags: { -readonly [K in keyof HelpFlag]: HelpFlag[K] }[] = [];
  let open = false;
  for (const line of text.split("\n")) {
    const match = FLAG.exec(line);
    if (match !== null) {
      const [, short = null, long = "", value = null, about = ""] = match;
      flags.push({ short, long, value, about });
      open = true;
    } else if (open && /^ {4,}\S/.test(line)) {
      const flag = flags.at(-1)!;
      flag.about = `${flag.about} ${line.trim()}`.trim();
    } else {
      open = false;
    }
  }
  return flags;
}

/** The ways of calling, without the words that explain them. */
export function usageOf(text: string): readonly string[] {
  return [...text.matchAll(/^(?:Usage: | {2})(soci-deno .*)$/gm)]
    .map(([, line = ""]) => line.replace(/ {2,}.*$/, ""));
}

/** The first thing that is said of a flag, for a list of one line each. */
export function briefly(about: string): string {
  const [first = ""] = about.split(/[;:] |\. /);
  const open = first.lastIndexOf(" (");
  const whole = open < 0 ||
    (first.includes(")", open) && !/\((default|also|may)/.test(first));
  return whole ? first : first.slice(0, first.indexOf(" ("));
}
