/** Completion for fish. @module */
import {
  type CompletedGroup,
  type CompletedLine,
  groupOf,
  wordsAfter,
} from "./line.ts";

/** The script for `/usr/share/fish/vendor_completions.d/soci-deno.fish`. */
export function fishScript(
  lines: readonly CompletedLine[],
  groups: readonly CompletedGroup[],
): string {
  const first = "test (count (__soci_deno_words)) -eq 1";
  const words = ["", ...groups.map((group) => group.words)].flatMap((before) =>
    wordsAfter(before, lines, groups).map(([name, summary]) =>
      `complete -c soci-deno -f -n ${
        quoted(before === "" ? first : `__soci_deno_after ${before}`)
      } -a ${name} -d ${quoted(summary)}`
    )
  );
  return `# Completion of soci-deno for fish: \`soci-deno completion fish\`.
function __soci_deno_words
    for word in (commandline -opc)
        string match -q -- '-*' $word; or echo $word
    end
end
function __soci_deno_after
    set -l words (__soci_deno_words)
    test (count $words) -eq 2; and test $words[2] = $argv[1]
end
function __soci_deno_in
    set -l words (__soci_deno_words)
    if test (count $argv) -eq 1
        contains -- $words[2] (string split , $argv[1])
    else
        test "$words[2]" = $argv[1]; and contains -- "$words[3]" (string split , $argv[2])
    end
end
${words.join("\n")}
${lines.flatMap(flagsOf).join("\n")}
`;
}

function flagsOf(line: CompletedLine): string[] {
  const where = quoted(
    ["__soci_deno_in", groupOf(line), line.names.join(",")]
      .filter((word) => word !== "").join(" "),
  );
  const lines = line.flags.map(([short, long, value, about, values]) =>
    [
      `complete -c soci-deno -n ${where} -l ${long.slice(2)}`,
      ...(short === "" ? [] : [`-s ${short.slice(1)}`]),
      ...(value === "" ? [] : values === "files" ? ["-r -F"] : ["-x"]),
      ...(values === "files" || values === "" ? [] : [`-a ${quoted(values)}`]),
      `-d ${quoted(about)}`,
    ].join(" ")
  );
  if (line.arguments.length === 0) return lines;
  const all = quoted(line.arguments.join(" "));
  return [`complete -c soci-deno -f -n ${where} -a ${all}`, ...lines];
}

function quoted(text: string): string {
  return `'${text.replace(/['\\]/g, "\\$&")}'`;
}
