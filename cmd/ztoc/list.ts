/** `soci-deno ztoc list`. @module */
import type {
  ArtifactRecord,
  ArtifactStore,
} from "../../lib/indexes/artifacts/mod.ts";
import type { Digest } from "../../lib/formats/oci/mod.ts";
import { decodeIndex } from "../../lib/formats/soci/mod.ts";
import { type Command, parseCommandLine, UsageError } from "../command.ts";
import { GLOBAL_OPTIONS } from "../flags.ts";
import { digestArgument, GLOBAL_HELP, StoreSession } from "../store_session.ts";
import { imageNames, namesOf } from "../index/names.ts";
import { table } from "../table.ts";

const HELP = `
List the ztocs on this machine.

Usage: soci-deno ztoc list [flags]      (also: ztoc ls)

Flags:
  --ztoc-digest DIGEST    this one alone
  --image-ref IMAGE       those that the indexes of this image name
  -q, --quiet             digests alone
  --json                  the list as JSON
${GLOBAL_HELP}
`;

/** The `ztoc list` subcommand. */
export const ztocListCommand: Command = {
  help: HELP,
  async run(args) {
    const { values, positionals } = parseCommandLine({
      args,
      allowPositionals: true,
      options: {
        "ztoc-digest": { type: "string" },
        "image-ref": { type: "string" },
        quiet: { type: "boolean", short: "q", default: false },
        json: { type: "boolean", default: false },
        ...GLOBAL_OPTIONS,
      },
    });
    if (positionals.length > 0) {
      throw new UsageError("ztoc list takes no argument");
    }
    const digest = values["ztoc-digest"] === undefined
      ? null
      : digestArgument(values["ztoc-digest"], "ztoc list");
    const ref = values["image-ref"];
    await using session = await StoreSession.open(values);
    const store = await session.store();
    let records = store.database.list("ztoc").filter((record) =>
      digest === null || record.digest === digest
    );
    if (ref !== undefined) {
      const named = await ztocsOfImage(session, store, ref);
      const order = [...named];
      records = records.filter((record) => named.has(record.digest))
        .sort((a, b) => order.indexOf(a.digest) - order.indexOf(b.digest));
    }
    if (values.json) {
      console.log(JSON.stringify(records.map(toJson), null, 2));
    } else if (values.quiet) {
      for (const record of records) console.log(record.digest);
    } else {
      console.log(table([
        ["DIGEST", "SIZE", "LAYER DIGEST"],
        ...records.map((record) => [
          record.digest,
          String(record.sizeBytes),
          record.originalDigest,
        ]),
      ]));
    }
    return 0;
  },
};

function toJson(record: ArtifactRecord) {
  return {
    digest: record.digest,
    sizeBytes: record.sizeBytes,
    layer: record.originalDigest,
    spanSizeBytes: record.spanSizeBytes,
    createdAt: record.createdAt.toISOString(),
  };
}

/** What the indexes of an image name, in the order of its layers. */
async function ztocsOfImage(
  session: StoreSession,
  store: ArtifactStore,
  ref: string,
): Promise<Set<Digest>> {
  const names = await imageNames(session);
  const found = new Set<Digest>();
  for (const record of store.database.list("index")) {
    if (!namesOf(record, names).includes(ref)) continue;
    const bytes = await store.readIfThere(record);
    if (bytes === null) continue;
    for (const { digest } of decodeIndex(bytes).layers) found.add(digest);
  }
  return found;
}
