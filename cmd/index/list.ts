/** `soci-deno index list`. @module */
import type { ArtifactRecord } from "../../lib/indexes/artifacts/mod.ts";
import { formatPlatform, parsePlatform } from "../../lib/formats/oci/mod.ts";
import { SOCI_MEDIA } from "../../lib/formats/soci/mod.ts";
import { type Command, parseCommandLine, UsageError } from "../command.ts";
import { GLOBAL_OPTIONS } from "../flags.ts";
import { GLOBAL_HELP, StoreSession } from "../store_session.ts";
import { ago, table } from "../table.ts";
import { imageNames, namesOf } from "./names.ts";

const HELP = `
List the SOCI indexes on this machine, the newest first.

Usage: soci-deno index list [flags]      (also: index ls)

Flags:
  --ref IMAGE             those of this image alone
  -p, --platform OS/ARCH  those of this platform alone (may be repeated)
  -q, --quiet             digests alone
  --json                  the list as JSON
${GLOBAL_HELP}
`;

/** The `index list` subcommand. */
export const indexListCommand: Command = {
  help: HELP,
  async run(args) {
    const { values, positionals } = parseCommandLine({
      args,
      allowPositionals: true,
      options: {
        ref: { type: "string" },
        platform: { type: "string", short: "p", multiple: true },
        quiet: { type: "boolean", short: "q", default: false },
        json: { type: "boolean", default: false },
        ...GLOBAL_OPTIONS,
      },
    });
    if (positionals.length > 0) {
      throw new UsageError("index list takes no argument");
    }
    const platforms = values.platform?.flatMap((text) => text.split(","))
      .map((text) => formatPlatform(parsePlatform(text)));
    await using session = await StoreSession.open(values);
    const store = await session.store();
    const names = await imageNames(session);
    const rows = store.database.list("index")
      .filter(({ platform }) =>
        platforms === undefined ||
        (platform !== null && platforms.includes(platform))
      )
      .flatMap((record) =>
        namesOf(record, names).map((name) => ({ record, name }))
      )
      .filter(({ name }) => values.ref === undefined || name === values.ref);
    if (values.json) {
      console.log(JSON.stringify(rows.map(toJson), null, 2));
    } else if (values.quiet) {
      const digests = new Set(rows.map(({ record }) => record.digest));
      for (const digest of digests) console.log(digest);
    } else console.log(table([HEAD, ...rows.map(toRow)]));
    return 0;
  },
};

const HEAD = [
  "DIGEST",
  "SIZE",
  "IMAGE REF",
  "PLATFORM",
  "MEDIA TYPE",
  "MANIFEST VERSION",
  "CREATED",
];

interface Row {
  readonly record: ArtifactRecord;
  readonly name: string | null;
}

function version({ artifactType }: ArtifactRecord): "v1" | "v2" {
  return artifactType === SOCI_MEDIA.indexV2 ? "v2" : "v1";
}

function toRow({ record, name }: Row): string[] {
  return [
    record.digest,
    String(record.sizeBytes),
    name ?? "",
    record.platform ?? "n/a",
    record.mediaType,
    version(record),
    ago(record.createdAt),
  ];
}

function toJson({ record, name }: Row) {
  return {
    digest: record.digest,
    sizeBytes: record.sizeBytes,
    image: name,
    imageDigest: record.imageDigest,
    manifest: record.originalDigest,
    platform: record.platform,
    mediaType: record.mediaType,
    version: version(record),
    createdAt: record.createdAt.toISOString(),
  };
}
