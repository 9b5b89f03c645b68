/** `soci-deno index info`. @module */
import { canonicalJson } from "../../lib/formats/oci/mod.ts";
import { type Command, parseCommandLine, UsageError } from "../command.ts";
import { GLOBAL_OPTIONS } from "../flags.ts";
import { digestArgument, GLOBAL_HELP, StoreSession } from "../store_session.ts";

const HELP = `
Print a SOCI index of this machine, as JSON.

Usage: soci-deno index info [flags] DIGEST

Flags:
  --json                  it is JSON anyway
${GLOBAL_HELP}
`;

/** The `index info` subcommand. */
export const indexInfoCommand: Command = {
  help: HELP,
  async run(args) {
    const { values, positionals } = parseCommandLine({
      args,
      allowPositionals: true,
      options: { json: { type: "boolean" }, ...GLOBAL_OPTIONS },
    });
    const digest = digestArgument(positionals[0], "index info DIGEST");
    if (positionals.length > 1) throw new UsageError("say one digest");
    await using session = await StoreSession.open(values);
    const store = await session.store();
    const bytes = await store.read(store.find("index", digest));
    const index = JSON.parse(new TextDecoder().decode(bytes));
    console.log(canonicalJson(index, { indent: 2 }));
    return 0;
  },
};
