/** The reference of all keys, from the schema and its texts. @module */
import { configKeyName } from "./dump.ts";
import { KEYS } from "./keys.ts";
import { defaultConfig } from "./schema.ts";

const HEAD = `# Configuration

\`soci-deno serve\` reads \`/etc/soci-snapshotter-grpc/config.toml\`, or the file of
\`--config\`: the existing daemon's file and keys, and some of our own. Keys match
in any case. Zero, an empty text and absence mean the default. A wrong value
stops the start; a key that is unknown or has no effect is a warning.

\`\`\`console
# soci-deno config check      # all that is wrong or has no effect, with lines
# soci-deno config dump       # what the daemon would run with
$ soci-deno config default    # what an empty file means
$ soci-deno config reference  # this page
\`\`\`

The file is read at the start. SIGHUP has it read again: the log says which keys
were reloaded, and which need a restart.
`;

/** The default of a key, as TOML; null where a user's names come before it. */
function defaultOf(key: string): unknown {
  let value: unknown = defaultConfig();
  for (const part of key.split(".")) {
    if (typeof value !== "object" || value === null || part === "*") {
      return null;
    }
    value = new Map<string, unknown>(Object.entries(value)).get(part);
  }
  return value ?? null;
}

function row(key: string, table: string): string {
  const { what, unused } = KEYS[key] ?? { what: "" };
  const name = configKeyName(key).slice(table === "" ? 0 : table.length + 1);
  const value = defaultOf(key);
  const text = `${what[0]?.toUpperCase()}${what.slice(1)}.${
    unused === undefined ? "" : ` **No effect**: ${unused}.`
  }`;
  return `| \`${name}\` | ${
    value === null ? "" : `\`${JSON.stringify(value)}\``
  } | ${text.replaceAll("|", "\\|")} |`;
}

/** A page of Markdown that describes every key. */
export function configurationPage(): string {
  const keys = Object.keys(KEYS);
  const tableOf = (key: string) =>
    key.replace(/\.?[^.]+$/, "").replace(/\.\*.*$/, "");
  const tables = [...new Set(keys.map(tableOf))];
  const parts = tables.map((table) =>
    [
      table === "" ? "## Before any table" : `## \`[${table}]\``,
      "",
      "| key | default | what it does |",
      "| --- | --- | --- |",
      ...keys.filter((key) => tableOf(key) === table)
        .map((key) => row(key, table)),
    ].join("\n")
  );
  return `${HEAD}\n${parts.join("\n\n")}\n`;
}
