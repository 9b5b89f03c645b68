/** The reference of all commands, as a page of the docs. @module */
import type { CommandHelp, GroupHelp } from "./help.ts";

/** `docs/reference.md`, not formatted. */
export function referencePage(
  commands: readonly CommandHelp[],
  groups: readonly GroupHelp[],
): string {
  const anchor = (words: string) => words.replaceAll(" ", "-");
  const list = commands.map(({ words, summary }) =>
    `- [\`${words}\`](#${anchor(words)}): ${summary}`
  );
  const also = ({ words, names }: CommandHelp) =>
    names.length < 2
      ? ""
      : `Also: ${
        names.slice(1).map((name) =>
          `\`${[...words.split(" ").slice(0, -1), name].join(" ")}\``
        ).join(", ")
      }.\n\n`;
  return `# Reference

What \`--help\` says of each command (written by \`deno task manual\`).
[Commands](commands.md) tells what they have in common. The packages bring the
same as manual pages: \`man soci-deno-pull\`.

${list.join("\n")}

${groups.map(({ words, summary }) => `\`${words}\`: ${summary}.`).join(" ")}

${
    commands.map((one) =>
      `## ${one.words}\n\n${also(one)}\`\`\`text\n${one.text}\n\`\`\`\n`
    ).join("\n")
  }`;
}
