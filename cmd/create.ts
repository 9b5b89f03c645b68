/**
 * `soci create`: makes the SOCI index v1 of an image that containerd has, and keeps it here.
 * @module
 */
import {
  buildZtocs,
  databaseLedger,
  keepIndexV1,
} from "../lib/indexes/indexing/mod.ts";
import { readFamily } from "../lib/remote/image/mod.ts";
import { formatPlatform } from "../lib/formats/oci/mod.ts";
import {
  BUILD_OPTIONS,
  buildHelp,
  BuildReport,
  EMPTY_INDEX,
  layerJson,
  readBuildFlags,
} from "./build_flags.ts";
import { type Command, parseCommandLine, UsageError } from "./command.ts";
import { GLOBAL_OPTIONS } from "./flags.ts";
import { GLOBAL_HELP, StoreSession } from "./store_session.ts";

const HELP = `
Make the SOCI index (v1) of an image in containerd's store and keep it on this machine;
\`soci push\` puts it beside the image in its registry.

Usage: soci create [flags] IMAGE

Flags:
${buildHelp()}
${GLOBAL_HELP}
`;

/** The `create` subcommand under the name \`soci\`. */
export const createCommand: Command = {
  help: HELP,
  async run(args) {
    const { values, positionals } = parseCommandLine({
      args,
      allowPositionals: true,
      options: { ...BUILD_OPTIONS, ...GLOBAL_OPTIONS },
    });
    const [name, ...extra] = positionals;
    if (name === undefined) {
      throw new UsageError("source image needs to be specified");
    }
    if (extra.length > 0) throw new UsageError("say `create IMAGE`");
    const { choice, build } = readBuildFlags(values);
    await using session = await StoreSession.open(values);
    const { signal } = session;
    const source = await session.image(name);
    const family = await readFamily(source, signal);
    const chosen = await family.choose(choice, signal);
    const store = await session.store();
    using report = new BuildReport({
      lines: values.json ? "none" : "each",
      minLayerSizeBytes: build.minLayerSizeBytes,
      words: "soci",
    });
    const results = [];
    for (const descriptor of chosen) {
      const image = await family.image(descriptor, signal);
      const built = await buildZtocs(image, {
        ...build,
        source,
        sink: store.content,
        ledgers: [databaseLedger(store.database)],
        signal,
        ...report.callbacks,
      });
      report.missing(built.missingFiles);
      const made = built.ztocs.length === 0 ? null : await keepIndexV1(
        store,
        family.descriptor,
        built,
        { name, signal },
      );
      if (made !== null) {
        await session.holdIndex(
          image.descriptor.digest,
          made.descriptor.digest,
        );
      }
      results.push({
        platform: image.platform === null
          ? null
          : formatPlatform(image.platform),
        manifest: image.descriptor.digest,
        index: made?.descriptor.digest ?? null,
        layers: built.layers.map(layerJson),
        prefetch: built.prefetch.map(({ digest }) => digest),
      });
    }
    if (values.json) {
      report.json({ image: name, images: results });
    }
    if (results.every(({ index }) => index === null)) {
      throw new Error(EMPTY_INDEX);
    }
    return 0;
  },
};
