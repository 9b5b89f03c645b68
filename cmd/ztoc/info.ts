/** `soci-deno ztoc info`. @module */
import { ztocInfo } from "../../lib/indexes/indexing/mod.ts";
import { canonicalJson } from "../../lib/formats/oci/mod.ts";
import { decodeZtoc } from "../../lib/formats/ztoc/mod.ts";
import { type Command, parseCommandLine, UsageError } from "../command.ts";
import { GLOBAL_OPTIONS } from "../flags.ts";
import { digestArgument, GLOBAL_HELP, StoreSession } from "../store_session.ts";

const HELP = `
Print what a ztoc of this machine holds, as JSON: its spans, and every file with the spans its
bytes are in.

Usage: soci-deno ztoc info [flags] DIGEST

Flags:
  --json                  it is JSON anyway
${GLOBAL_HELP}
`;

/** The `ztoc info` subcommand. */
export const ztocInfoCommand: Command = {
  help: HELP,
  async run(args) {
    const { values, positionals } = parseCommandLine({
      args,
      allowPositionals: true,
      options: { json: { type: "boolean" }, ...GLOBAL_OPTIONS },
    });
    const digest = digestArgument(positionals[0], "ztoc info DIGEST");
    if (positionals.length > 1) throw new UsageError("say one digest");
    await using session = await StoreSession.open(values);
    const store = await session.store();
    const record = store.find("ztoc", digest);
    const ztoc = decodeZtoc(await store.read(record));
    const info = ztocInfo(ztoc, record.sizeBytes);
    // Bytes that are no UTF-8 are written as the existing tool writes them.
    console.log(
      canonicalJson(info, { indent: 2 }).replaceAll("\ufffd", "\\ufffd"),
    );
    return 0;
  },
};
