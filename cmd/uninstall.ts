/**
 * `soci-deno uninstall`: takes back what `install` wrote.
 * @module
 */
import { type Command, noArgument, parseCommandLine } from "./command.ts";
import { treeOf } from "./install.ts";
import { agreed, make } from "./install/changes.ts";
import { FOLDERS, RECORD } from "./install/places.ts";
import { readRecord } from "./install/record.ts";
import { type Tree, TreeError } from "./install/tree.ts";
import { planUninstall } from "./install/undo.ts";
import { DEFAULT_ROOT } from "./root.ts";

const HELP = `
Take back what \`soci-deno install\` wrote: every file is as it was before. Images, caches and
snapshots stay. What will change is shown first.

Usage: soci-deno uninstall [flags]

Flags:
  --dry-run   show what would change, and write nothing
  --yes       do not ask
  --force     take units away that were changed since
  --purge     remove the daemon's state and caches, too (${DEFAULT_ROOT}); containerd
              has no snapshots of lazy images then. \`soci-deno stop\` comes first
  --root DIR  another tree than /, an absolute path

Where people have changed containerd's config.toml since, it loses what install set, and nothing else.
A second run changes nothing, or mends what a killed one left. Nothing is stopped; the commands for
that are shown at the end.
`;

/** The `uninstall` subcommand. */
export const uninstallCommand: Command = {
  help: HELP,
  async run(args) {
    const { values, positionals } = parseCommandLine({
      args,
      allowPositionals: true,
      options: {
        "dry-run": { type: "boolean", default: false },
        yes: { type: "boolean", default: false },
        force: { type: "boolean", default: false },
        purge: { type: "boolean", default: false },
        root: { type: "string" },
      },
    });
    noArgument(positionals, "uninstall");
    const tree = treeOf(values.root);
    const record = readRecord(tree);
    const state = values.purge && tree.has(DEFAULT_ROOT)
      ? tree.at(DEFAULT_ROOT)
      : null;
    if (state !== null) await assertUnused(tree, state);
    if (record === null && state === null) {
      console.log("Nothing is installed here.");
      return 0;
    }
    const { changes, links, kept } = record === null
      ? { changes: [], links: [], kept: [] }
      : planUninstall(tree, record, values.force);
    for (const what of kept) console.log(`stays: ${what}`);
    for (const link of links) {
      console.log(`removed with its unit: ${tree.at(link)}`);
    }
    if (state !== null) console.log(`removed with all in it: ${state}`);
    if (!agreed(tree, changes, values)) return 0;
    for (const link of links) await tree.remove(link);
    await make(tree, changes);
    if (record !== null) {
      await tree.remove(RECORD);
      for (const folder of record.folders.toReversed()) {
        tree.removeEmpty(folder);
      }
      tree.removeEmpty(FOLDERS.record);
    }
    if (state !== null) await Deno.remove(state, { recursive: true });
    console.log(tree.root === "" ? NEXT : "Uninstalled.");
    return 0;
  },
};

const NEXT = `Uninstalled. To end what runs:
  systemctl restart containerd
  soci-deno stop
  systemctl stop soci-snapshotter.socket soci-snapshotter.service
  systemctl daemon-reload`;

/** Removing what is mounted would remove, or wait for, something else. @throws TreeError */
async function assertUnused(tree: Tree, state: string): Promise<void> {
  if (Deno.realPathSync(state) !== state) {
    throw new TreeError(
      `${state} is reached through a link: remove it by hand`,
    );
  }
  const { listMounts } = await import("../lib/host/mounting/mod.ts");
  const mounted = listMounts().find(({ mountpoint: path }) =>
    path === state || path.startsWith(`${state}/`)
  );
  if (mounted === undefined) return;
  throw new TreeError(
    `${mounted.mountpoint} is mounted: say \`soci-deno stop\`${
      tree.root === "" ? "" : " there"
    } first`,
  );
}
