/**
 * `soci-deno mount-helper`: the process that makes the daemon's EROFS mounts (`MountHelper`).
 * @module
 */
import { serveMounts } from "../lib/host/mount_process/mod.ts";
import { type Command, parseCommandLine, UsageError } from "./command.ts";

const HELP = `
Make the mounts that the daemon asks for on standard input. The daemon starts it by itself; it ends
with standard input.

Usage: soci-deno mount-helper PID
`;

/** The `mount-helper` subcommand. */
export const mountHelperCommand: Command = {
  help: HELP,
  async run(args) {
    const { positionals } = parseCommandLine({ args, allowPositionals: true });
    const owner = Number(positionals[0]);
    if (positionals.length !== 1 || !Number.isInteger(owner)) {
      throw new UsageError("say `mount-helper PID`");
    }
    await serveMounts(owner);
    return 0;
  },
};
