/** Manual pages, of the commands' help. @module */
import type { CommandHelp, GroupHelp } from "./help.ts";

/** A page: its file's name and its text. */
export interface ManualPage {
  readonly name: string;
  readonly text: string;
}

/** When and as what pages are published. */
export interface Edition {
  readonly version: string;
  /** `2026-01-31`. */
  readonly date: string;
}

/** `soci-deno.1` and one page a command. */
export function manualPages(
  commands: readonly CommandHelp[],
  groups: readonly GroupHelp[],
  edition: Edition,
): readonly ManualPage[] {
  return [
    overviewPage(commands, groups, edition),
    ...commands.map((command) => commandPage(command, edition)),
  ];
}

const pageOf = (words: string) => `soci-deno-${words.replaceAll(" ", "-")}`;

function overviewPage(
  commands: readonly CommandHelp[],
  groups: readonly GroupHelp[],
  edition: Edition,
): ManualPage {
  const list = commands.flatMap(({ words, summary }) => [
    ".TP",
    `.BR ${escaped(pageOf(words))} (1)`,
    escaped(summary),
  ]);
  return {
    name: "soci-deno.1",
    text: lines(
      head("soci-deno", edition),
      ".SH NAME",
      "soci\\-deno \\- start containers before their images are downloaded",
      ".SH SYNOPSIS",
      ".B soci\\-deno",
      "\\fICOMMAND\\fR [\\fIFLAGS\\fR]",
      ".SH DESCRIPTION",
      "A containerd remote snapshotter for SOCI indexes, and the tools that make and publish them.",
      `Words that are followed by another one: ${
        groups.map(({ words }) => escaped(words)).join(", ")
      }.`,
      ".SH COMMANDS",
      ...list,
      ".SH EXIT STATUS",
      "0: done. 1: failed, one line on standard error says why. 2: wrong usage.",
      ".SH FILES",
      ...[
        [
          "/etc/soci-snapshotter-grpc/config.toml",
          "the daemon's configuration",
        ],
        ["/var/lib/soci-snapshotter-grpc", "state and caches"],
        [
          "/run/soci-snapshotter-grpc/soci-snapshotter-grpc.sock",
          "the socket for containerd",
        ],
      ].flatMap(([path, what]) => [".TP", `.I ${escaped(path!)}`, what!]),
    ),
  };
}

function commandPage(
  { words, summary, text, usage, flags }: CommandHelp,
  edition: Edition,
): ManualPage {
  const name = pageOf(words);
  return {
    name: `${name}.1`,
    text: lines(
      head(name, edition),
      ".SH NAME",
      `${escaped(name)} \\- ${escaped(summary)}`,
      ".SH SYNOPSIS",
      ".nf",
      ...usage.map((line) => `.B ${escaped(line)}`),
      ".fi",
      ".SH DESCRIPTION",
      ...description(text),
      ...(flags.length === 0 ? [] : [".SH OPTIONS"]),
      ...flags.flatMap(({ short, long, value, about }) => [
        ".TP",
        `${short === null ? "" : `\\fB${escaped(short)}\\fR, `}\\fB${
          escaped(long)
        }\\fR${value === null ? "" : ` \\fI${escaped(value)}\\fR`}`,
        escaped(about),
      ]),
      ".SH SEE ALSO",
      ".BR soci\\-deno (1)",
    ),
  };
}

/** The paragraphs before, between and after usage and flags. What is set in columns stays as it is. */
function description(text: string): string[] {
  return text.split(/\n\n+/)
    .filter((part) => !/^(Usage:|Flags:)/.test(part))
    .flatMap((part) => {
      const rows = part.split("\n");
      if (!rows.some((row) => /^ {2}/.test(row))) {
        return [".PP", ...rows.map(escaped)];
      }
      return [".PP", ".nf", ...rows.map(escaped), ".fi"];
    });
}

function head(name: string, { version, date }: Edition): string {
  return `.TH "${
    name.toUpperCase().replaceAll("-", "\\-")
  }" 1 "${date}" "soci\\-deno ${version}" "soci\\-deno"`;
}

/** A dash is a minus, as in flags; a line that begins with a dot or a quote is no request. */
function escaped(text: string): string {
  return text.replaceAll("\\", "\\e").replaceAll("-", "\\-")
    .replaceAll("…", "...").replace(/^([.'])/, "\\&$1");
}

function lines(...all: readonly string[]): string {
  return `${all.join("\n")}\n`;
}
