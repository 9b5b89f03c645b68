/** Completion for bash. @module */
import {
  type CompletedGroup,
  type CompletedLine,
  groupOf,
  wordsAfter,
} from "./line.ts";

/** The script for `/usr/share/bash-completion/completions/soci-deno`. */
export function bashScript(
  lines: readonly CompletedLine[],
  groups: readonly CompletedGroup[],
): string {
  const names = (before: string) =>
    wordsAfter(before, lines, groups).map(([name]) => name).join(" ");
  const known = [
    ...lines.flatMap((line) =>
      line.names.map((name) =>
        `      "${groupOf(line)} ${name}") command="${line.words}" ;;`
      )
    ),
    ...groups.map(({ words }) => `      " ${words}") command="${words}" ;;`),
  ];
  const flags = lines.map(({ words, flags }) =>
    `    "${words}") flags="${
      [...flags.map(([, long]) => long), "--help"].join(" ")
    }" ;;`
  );
  const after = lines.filter((line) => line.arguments.length > 0)
    .map(({ words, arguments: all }) =>
      `    "${words}") words="${all.join(" ")}" ;;`
    );
  return `# Completion of soci-deno for bash: \`soci-deno completion bash\`.
_soci_deno() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]}
  local command="" flags="--help --version" words="" values="" i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$command \${COMP_WORDS[i]}" in
${known.join("\n")}
    esac
  done
  case "$command" in
${flags.join("\n")}
  esac
  case "$command" in
    "") words="${names("")}" ;;
${
    groups.map(({ words }) => `    "${words}") words="${names(words)}" ;;`)
      .join("\n")
  }
${after.join("\n")}
  esac
  if [[ $cur == "=" ]]; then cur=""
  elif [[ $prev == "=" ]]; then prev=\${COMP_WORDS[COMP_CWORD-2]}
  fi
  case "$command $prev" in
${valuesOf(lines).join("\n")}
  esac
  COMPREPLY=()
  case "$values" in
    files) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
    none) ;;
    ?*) mapfile -t COMPREPLY < <(compgen -W "$values" -- "$cur") ;;
    *)
      if [[ $cur == -* ]]; then mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$cur")
      elif [[ -n $words ]]; then mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
      else mapfile -t COMPREPLY < <(compgen -f -- "$cur")
      fi ;;
  esac
}
complete -o filenames -F _soci_deno soci-deno
`;
}

/** What may follow a flag that takes a value. */
function valuesOf(lines: readonly CompletedLine[]): string[] {
  return lines.flatMap(({ words, flags }) =>
    flags.filter(([, , value]) => value !== "").map(
      ([short, long, , , values]) => {
        const both = [short, long].filter((one) => one !== "")
          .map((one) => `"${words} ${one}"`).join("|");
        return `    ${both}) values="${values || "none"}" ;;`;
      },
    )
  );
}
