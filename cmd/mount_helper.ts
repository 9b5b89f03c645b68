/**
 * `soci-deno mount-helper`: the process that makes the daemon's EROFS mounts (`MountHelper`).
 * @module
 */
import { serveMounts } from "../lib/os/mod.ts";
import { type Command, parseCommandLine } from "./command.ts";

const HELP = `
Make the mounts that the daemon asks for on standard input. The daemon starts it by itself; it ends
with standard input.

Usage: soci-deno mount-helper
`;

/** The `mount-helper` subcommand. */
export const mountHelperCommand: Command = {
  help: HELP,
  async run(args) {
    parseCommandLine({ args });
    await serveMounts();
    return 0;
  },
};
