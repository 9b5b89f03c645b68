/**
 * `soci-deno rebuild-db`: rebuilds the database of artifacts from the content store.
 * @module
 */
import { rebuildDatabase } from "../lib/indexes/artifacts/mod.ts";
import { type Command, parseCommandLine, UsageError } from "./command.ts";
import { GLOBAL_OPTIONS } from "./flags.ts";
import { GLOBAL_HELP, StoreSession } from "./store_session.ts";

const HELP = `
Make the database of artifacts anew from what the content store holds: forget what is gone, find
indexes (v1 and v2), ztocs and prefetch lists that came with a pull or another tool.

Usage: soci-deno rebuild-db [flags]

Flags:
  --json                  what was found as JSON
${GLOBAL_HELP}
`;

/** The `rebuild-db` subcommand. */
export const rebuildDbCommand: Command = {
  help: HELP,
  async run(args) {
    const { values, positionals } = parseCommandLine({
      args,
      allowPositionals: true,
      options: { json: { type: "boolean", default: false }, ...GLOBAL_OPTIONS },
    });
    if (positionals.length > 0) {
      throw new UsageError("rebuild-db takes no argument");
    }
    await using session = await StoreSession.open(values);
    const store = await session.store();
    const containerd = await session.containerdIfThere();
    const result = await rebuildDatabase(store, containerd, session.signal);
    if (values.json) console.log(JSON.stringify(result, null, 2));
    return 0;
  },
};
