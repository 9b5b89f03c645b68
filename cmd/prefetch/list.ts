/** `soci-deno prefetch list`. @module */
import { decodePrefetch } from "../../lib/formats/soci/mod.ts";
import { type Command, parseCommandLine, UsageError } from "../command.ts";
import { GLOBAL_OPTIONS } from "../flags.ts";
import { GLOBAL_HELP, StoreSession } from "../store_session.ts";
import { ago, table } from "../table.ts";

const HELP = `
List the prefetch lists on this machine: which spans of a layer are fetched before they are
asked for.

Usage: soci-deno prefetch list [flags]      (also: prefetch ls)

Flags:
  --json                  the list as JSON
${GLOBAL_HELP}
`;

/** The `prefetch list` subcommand. */
export const prefetchListCommand: Command = {
  help: HELP,
  async run(args) {
    const { values, positionals } = parseCommandLine({
      args,
      allowPositionals: true,
      options: { json: { type: "boolean", default: false }, ...GLOBAL_OPTIONS },
    });
    if (positionals.length > 0) {
      throw new UsageError("prefetch list takes no argument");
    }
    await using session = await StoreSession.open(values);
    const store = await session.store();
    const rows = [];
    for (const record of store.database.list("prefetch")) {
      const bytes = await store.readIfThere(record);
      const spans = bytes === null ? null : decodePrefetch(bytes, Infinity)
        .reduce((all, { start, end }) => all + end - start + 1, 0);
      rows.push({ record, spans });
    }
    // The keys are the existing tool's.
    console.log(
      values.json
        ? JSON.stringify(
          rows.map(({ record, spans }) => ({
            Digest: record.digest,
            LayerDigest: record.originalDigest,
            TotalSpans: spans,
            CreatedAt: record.createdAt.toISOString(),
          })),
          null,
          2,
        )
        : table([
          ["DIGEST", "LAYER DIGEST", "SPANS", "CREATED"],
          ...rows.map(({ record, spans }) => [
            record.digest,
            record.originalDigest,
            String(spans ?? "n/a"),
            ago(record.createdAt),
          ]),
        ]),
    );
    return 0;
  },
};
