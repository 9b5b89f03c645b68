/** `soci-deno index remove`. @module */
import type { Digest } from "../../lib/formats/oci/mod.ts";
import { SOCI_MEDIA } from "../../lib/formats/soci/mod.ts";
import { type Command, parseCommandLine, UsageError } from "../command.ts";
import { GLOBAL_OPTIONS } from "../flags.ts";
import { digestArgument, GLOBAL_HELP, StoreSession } from "../store_session.ts";
import { imageNames, namesOf } from "./names.ts";

const HELP = `
Remove SOCI indexes from this machine. Ztocs that no index names any more are collected by
containerd; in an OCI layout they stay for the next index of the same layers.

Usage:
  soci-deno index remove [flags] DIGEST...      (also: index rm)
  soci-deno index remove [flags] --ref IMAGE

Flags:
  --ref IMAGE             all indexes of this image
  --json                  what was removed as JSON
${GLOBAL_HELP}
`;

/** The `index remove` subcommand. */
export const indexRemoveCommand: Command = {
  help: HELP,
  async run(args) {
    const { values, positionals } = parseCommandLine({
      args,
      allowPositionals: true,
      options: {
        ref: { type: "string" },
        json: { type: "boolean", default: false },
        ...GLOBAL_OPTIONS,
      },
    });
    const { ref } = values;
    if ((positionals.length > 0) === (ref !== undefined)) {
      throw new UsageError(
        "please provide either index digests or image ref, but not both",
      );
    }
    const asked = positionals.map((text) =>
      digestArgument(text, "index remove DIGEST")
    );
    await using session = await StoreSession.open(values);
    const store = await session.store();
    const names = ref === undefined ? new Map() : await imageNames(session);
    const wanted: readonly Digest[] = ref === undefined
      ? asked
      : store.database.list("index")
        .filter((record) => namesOf(record, names).includes(ref))
        .map(({ digest }) => digest);
    const removed = [...new Set(wanted)];
    for (const digest of removed) store.find("index", digest); // all or none
    for (const digest of removed) {
      for (
        const { originalDigest, artifactType } of store.database.get(digest)
      ) {
        if (artifactType === SOCI_MEDIA.indexV1) {
          await session.letGoOfIndex(originalDigest, digest);
        }
      }
      await store.content.remove(digest);
      store.database.remove(digest);
    }
    if (values.json) console.log(JSON.stringify({ removed }, null, 2));
    return 0;
  },
};
