/**
 * `soci-deno status`: what the running daemon serves and holds.
 * @module
 */
import { askStatus } from "../lib/host/control/mod.ts";
import {
  type Command,
  noArgument,
  parseCommandLine,
  UsageError,
} from "./command.ts";
import type { DaemonStatus } from "./daemon_status.ts";
import { daemonRoot, DEFAULT_ROOT } from "./root.ts";
import { describe } from "./status/text.ts";
import { watch } from "./status/watch.ts";

const HELP = `
Show what the running daemon serves: its images with their layers, how much of each is here and
was read, what is on its way and who waits; then its cache, what was fetched for whom, and what
load orders brought, by image and workload.

Usage: soci-deno status [flags]

Flags:
  --root DIR   the daemon's root (default ${DEFAULT_ROOT}; also SOCI_SNAPSHOTTER_ROOT)
  --json       the whole answer as JSON
  --watch      a page on the terminal that shows it anew each second, until Ctrl-C

Exit code 1 when no daemon runs there.
`;

/** The `status` subcommand. */
export const statusCommand: Command = {
  help: HELP,
  async run(args) {
    const { values, positionals } = parseCommandLine({
      args,
      allowPositionals: true,
      options: {
        root: { type: "string" },
        json: { type: "boolean", default: false },
        watch: { type: "boolean", default: false },
      },
    });
    noArgument(positionals, "status");
    const root = daemonRoot(values.root);
    if (values.watch) {
      if (values.json) {
        throw new UsageError("--watch and --json exclude another");
      }
      if (!Deno.stdout.isTerminal()) {
        throw new UsageError("--watch needs a terminal; say --json to read it");
      }
      return await watch(root);
    }
    const answer = await askStatus(`${root}/control.sock`);
    if (answer === null) {
      console.error(`soci-deno status: no daemon runs on ${root}`);
      return 1;
    }
    const status = answer as DaemonStatus;
    console.log(
      values.json ? JSON.stringify(status, null, 2) : describe(status),
    );
    return 0;
  },
};
