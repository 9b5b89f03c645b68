/** Completion for zsh. @module */
import {
  type CompletedFlag,
  type CompletedGroup,
  type CompletedLine,
  groupOf,
  wordsAfter,
} from "./line.ts";

/** The script for `_soci-deno` in a folder of `fpath`. */
export function zshScript(
  lines: readonly CompletedLine[],
  groups: readonly CompletedGroup[],
): string {
  const menu = (before: string, indent: string) =>
    wordsAfter(before, lines, groups).map(([name, summary]) =>
      `${indent}${quoted(`${name}:${summary}`)}`
    ).join("\n");
  const cases = (before: string, indent: string) =>
    lines.filter((line) => groupOf(line) === before)
      .map((line) => caseOf(line, indent)).join("\n");
  return `#compdef soci-deno
# Completion of soci-deno for zsh: \`soci-deno completion zsh\`.
_soci_deno() {
  local -a words_here
  local context state line
  typeset -A opt_args
  if (( CURRENT == 2 )); then
    words_here=(
${menu("", "      ")}
    )
    _describe command words_here
    return
  fi
  shift words
  (( CURRENT-- ))
  case $words[1] in
${
    groups.map(({ words }) =>
      `    ${words})
      if (( CURRENT == 2 )); then
        words_here=(
${menu(words, "          ")}
        )
        _describe command words_here
        return
      fi
      shift words
      (( CURRENT-- ))
      case $words[1] in
${cases(words, "        ")}
      esac ;;`
    ).join("\n")
  }
${cases("", "    ")}
  esac
}
if [[ $funcstack[1] == _soci-deno ]]; then _soci_deno "$@"; else compdef _soci_deno soci-deno; fi
`;
}

function caseOf(
  { names, flags, arguments: all }: CompletedLine,
  indent: string,
): string {
  const rest = all.length > 0 ? `1: :(${all.join(" ")})` : "*: :_files";
  const specs = [...flags.map(specOf), quoted(rest)];
  return `${indent}${names.join("|")}) _arguments -s -S ${
    specs.map((spec) => `\\\n${indent}  ${spec}`).join(" ")
  } ;;`;
}

function specOf([short, long, value, about, values]: CompletedFlag): string {
  const text = `[${about.replace(/[[\]\\]/g, "\\$&")}]`;
  const takes = value === ""
    ? ""
    : `:${value.replaceAll(":", "\\:")}:${
      values === "files" ? "_files" : values === "" ? "" : `(${values})`
    }`;
  if (short === "") return quoted(`*${long}${text}${takes}`);
  return `'*'{${short},${long}}${quoted(`${text}${takes}`)}`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
