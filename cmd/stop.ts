/**
 * `soci-deno stop`: ends the daemon and unmounts its layers, or cleans up after one that is gone.
 * @module
 */
import { statIfThere } from "../lib/host/files/mod.ts";
import {
  askTakeover,
  MountKeeper,
  TakeoverError,
} from "../lib/host/handover/mod.ts";
import { unmountBelow } from "../lib/host/mounting/mod.ts";
import { abandonMounts } from "../lib/layers/serving/mod.ts";
import { type Command, noArgument, parseCommandLine } from "./command.ts";
import { daemonRoot, DEFAULT_ROOT } from "./root.ts";

const HELP = `
End the daemon and unmount its layers. Where none runs but one left its mounts for the next run,
take those away: programs that wait on them get an error. Caches and snapshots stay.

Do this before removing soci-deno; to restart or upgrade it, send SIGTERM instead.

Usage: soci-deno stop [flags]

Flags:
  --root DIR   the daemon's root (default ${DEFAULT_ROOT}; also SOCI_SNAPSHOTTER_ROOT)
`;

/** The `stop` subcommand. */
export const stopCommand: Command = {
  help: HELP,
  async run(args) {
    const { values, positionals } = parseCommandLine({
      args,
      allowPositionals: true,
      options: { root: { type: "string" } },
    });
    noArgument(positionals, "stop");
    const root = daemonRoot(values.root);
    using daemon = await askTakeover(`${root}/control.sock`).catch((error) => {
      // It does not answer: it may have been killed but cannot end before its mounts are gone. The lock
      // tells it from a busy one.
      if (error instanceof TakeoverError) return null;
      throw error;
    });
    if (daemon !== null) {
      await daemon.stop();
      console.log(`ended process ${daemon.pid}`);
      return 0;
    }
    if (statIfThere(`${root}/lock`) === null) {
      console.error(`soci-deno stop: no daemon ever ran on ${root}`);
      return 1;
    }
    abandonMounts({
      root,
      mountDirectory: `${root}/fs`,
      keeper: new MountKeeper({ statePath: `${root}/handover.json` }),
    });
    unmountBelow(`${root}/snapshotter/mapped`); // what was made for user namespaces
    console.log("no daemon runs; its mounts are gone");
    return 0;
  },
};
