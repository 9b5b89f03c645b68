/**
 * `soci-deno gc`: frees the disk space of unused layers.
 * @module
 */
import { statIfThere } from "../lib/host/files/mod.ts";
import { collectGarbage } from "../lib/layers/serving/mod.ts";
import { RootInUseError } from "../lib/layers/store/mod.ts";
import { Snapshotter } from "../lib/images/snapshotter/mod.ts";
import {
  type Command,
  formatBytes,
  noArgument,
  parseCommandLine,
} from "./command.ts";
import { daemonRoot, DEFAULT_ROOT } from "./root.ts";

const HELP = `
Remove the caches of layers that no snapshot uses: those kept by \`[cache] keep_removed\`, those of
\`soci-deno mount\`, and what crashes left over. Layers of snapshots stay, also while containers wait
for the daemon to come back.

Works while no daemon runs. A running one keeps within \`[cache] max_bytes\` by itself, and removes
what crashes left over when it starts.

Usage: soci-deno gc [flags]

Flags:
  --root DIR   whose caches (default ${DEFAULT_ROOT}; also SOCI_SNAPSHOTTER_ROOT)
  --json       one JSON object instead of text
`;

/** The `gc` subcommand. */
export const gcCommand: Command = {
  help: HELP,
  run(args) {
    const { values, positionals } = parseCommandLine({
      args,
      allowPositionals: true,
      options: {
        root: { type: "string" },
        json: { type: "boolean", default: false },
      },
    });
    noArgument(positionals, "gc");
    const root = daemonRoot(values.root);
    if (statIfThere(`${root}/lock`) === null) {
      console.error(`soci-deno gc: nothing was ever served from ${root}`);
      return Promise.resolve(1);
    }
    try {
      const removed = collectGarbage(
        root,
        Snapshotter.lazyDirectoriesBelow(root),
      );
      console.log(
        values.json
          ? JSON.stringify(removed)
          : `removed ${removed.layers} layers, ${formatBytes(removed.bytes)}`,
      );
      return Promise.resolve(0);
    } catch (error) {
      if (!(error instanceof RootInUseError)) throw error;
      console.error(
        `soci-deno gc: a process serves ${root}; stop it first, or let [cache] max_bytes bound it`,
      );
      return Promise.resolve(1);
    }
  },
};
