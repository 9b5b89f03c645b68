/** `soci-deno prefetch info`. @module */
import { decodePrefetch } from "../../lib/formats/soci/mod.ts";
import { type Command, parseCommandLine, UsageError } from "../command.ts";
import { GLOBAL_OPTIONS } from "../flags.ts";
import { digestArgument, GLOBAL_HELP, StoreSession } from "../store_session.ts";

const HELP = `
Print a prefetch list of this machine.

Usage: soci-deno prefetch info [flags] DIGEST

Flags:
  --json                  as JSON
${GLOBAL_HELP}
`;

/** The `prefetch info` subcommand. */
export const prefetchInfoCommand: Command = {
  help: HELP,
  async run(args) {
    const { values, positionals } = parseCommandLine({
      args,
      allowPositionals: true,
      options: { json: { type: "boolean", default: false }, ...GLOBAL_OPTIONS },
    });
    const digest = digestArgument(positionals[0], "prefetch info DIGEST");
    if (positionals.length > 1) throw new UsageError("say one digest");
    await using session = await StoreSession.open(values);
    const store = await session.store();
    const record = store.find("prefetch", digest);
    const bytes = await store.read(record);
    const ranges = decodePrefetch(bytes, Infinity);
    if (values.json) {
      console.log(JSON.stringify(
        {
          digest,
          layer: record.originalDigest,
          sizeBytes: record.sizeBytes,
          createdAt: record.createdAt.toISOString(),
          ...JSON.parse(new TextDecoder().decode(bytes)),
        },
        null,
        2,
      ));
      return 0;
    }
    const count = ({ start, end }: { start: number; end: number }) =>
      end - start + 1;
    const created = record.createdAt.toISOString().slice(0, 19)
      .replace("T", " ");
    console.log([
      `Digest:        ${digest}`,
      "Version:       1.0",
      `Span Ranges:   ${ranges.length}`,
      `Layer Digest:  ${record.originalDigest}`,
      `Size:          ${record.sizeBytes} bytes`,
      `Created:       ${created}`,
      "",
      "Prefetch Spans:",
      ...ranges.map((range, i) =>
        `  [${i}] StartSpan: ${range.start}, EndSpan: ${range.end} (covers ${
          count(range)
        } spans)`
      ),
      "",
      `Total spans to prefetch: ${
        ranges.reduce((all, range) => all + count(range), 0)
      }`,
    ].join("\n"));
    return 0;
  },
};
