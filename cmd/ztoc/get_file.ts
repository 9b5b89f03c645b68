/** `soci-deno ztoc get-file`. @module */
import { Draft, writeAll } from "../../lib/host/files/mod.ts";
import { readFileOfLayer } from "../../lib/indexes/indexing/mod.ts";
import { MEDIA } from "../../lib/formats/oci/mod.ts";
import { decodeZtoc } from "../../lib/formats/ztoc/mod.ts";
import { type Command, parseCommandLine, UsageError } from "../command.ts";
import { GLOBAL_OPTIONS } from "../flags.ts";
import { draftSuffix } from "../given.ts";
import { digestArgument, GLOBAL_HELP, StoreSession } from "../store_session.ts";

const HELP = `
Take one file out of a layer on this machine, by the layer's ztoc: only the spans that hold the
file are read.

Usage: soci-deno ztoc get-file [flags] ZTOC-DIGEST PATH

Flags:
  -o, --output FILE       where to write it (default: standard output, with a newline after it)
${GLOBAL_HELP}
`;

/** The `ztoc get-file` subcommand. */
export const ztocGetFileCommand: Command = {
  help: HELP,
  async run(args) {
    const { values, positionals } = parseCommandLine({
      args,
      allowPositionals: true,
      options: { output: { type: "string", short: "o" }, ...GLOBAL_OPTIONS },
    });
    const [text, path, ...extra] = positionals;
    if (path === undefined || extra.length > 0) {
      throw new UsageError("say `ztoc get-file ZTOC-DIGEST PATH`");
    }
    const digest = digestArgument(text, "ztoc get-file ZTOC-DIGEST PATH");
    await using session = await StoreSession.open(values);
    const { signal } = session;
    const store = await session.store();
    const record = store.find("ztoc", digest);
    const ztoc = decodeZtoc(await store.read(record));
    const layer = {
      mediaType: MEDIA.octetStream,
      digest: record.originalDigest,
      size: ztoc.compressedSize,
    };
    const pieces = readFileOfLayer(
      await session.content(),
      layer,
      ztoc,
      path,
      signal,
    );
    if (values.output === undefined) {
      for await (const piece of pieces) await writeAll(Deno.stdout, piece);
      await writeAll(Deno.stdout, new TextEncoder().encode("\n"));
      return 0;
    }
    using draft = Draft.create(values.output, {
      draftPath: `${values.output}${draftSuffix()}`,
      mode: "umask",
    });
    for await (const piece of pieces) await draft.write(piece);
    await draft.finish();
    return 0;
  },
};
