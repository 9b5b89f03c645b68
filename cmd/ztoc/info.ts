/** `soci-deno ztoc info`. @module */
import { canonicalJson } from "../../lib/oci/mod.ts";
import {
  decodeCheckpoints,
  decodeTarSpans,
  decodeZtoc,
  spanTable,
  type Ztoc,
} from "../../lib/ztoc/mod.ts";
import { type Command, parseCommandLine, UsageError } from "../command.ts";
import { GLOBAL_OPTIONS } from "../flags.ts";
import { digestArgument, GLOBAL_HELP, Session } from "../globals.ts";

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
    await using session = await Session.open(values);
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

/** A ztoc in the existing tools' words. @param sizeBytes of the ztoc itself. */
export function ztocInfo(ztoc: Ztoc, sizeBytes: number) {
  const spans = spanTable(ztoc);
  const decoder = new TextDecoder();
  const files = ztoc.entries.map(({ name, offset, size, type }) => {
    // What has no bytes lies where it would begin; behind the last file there may be nothing more.
    const at = Math.min(offset, ztoc.uncompressedSize - 1);
    const start = spans.spanAt(at);
    return {
      filename: decoder.decode(name),
      offset,
      size,
      type,
      start_span: start,
      end_span: size === 0 ? start : spans.spanAt(offset + size - 1),
    };
  });
  return {
    version: ztoc.version,
    build_tool: ztoc.buildTool,
    size: sizeBytes,
    span_size:
      (ztoc.compression === "gzip"
        ? decodeCheckpoints(ztoc.checkpoints)
        : decodeTarSpans(ztoc.checkpoints)).spanSize,
    num_spans: ztoc.spanDigests.length,
    num_files: files.length,
    num_multi_span_files:
      files.filter((file) => file.start_span !== file.end_span).length,
    files,
  };
}
