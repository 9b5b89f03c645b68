/**
 * `soci-deno umount`: ends a `soci-deno mount`.
 * @module
 */
import { isMountPoint, unmount } from "../lib/host/mounting/mod.ts";
import { type Command, onlyArgument, parseCommandLine } from "./command.ts";

const HELP = `
Unmount a directory that \`soci-deno mount\` filled. The mounting process then ends by itself.
Programs that still use the directory keep what they have open.

Usage: soci-deno umount DIR
`;

/** The `umount` subcommand. */
export const umountCommand: Command = {
  help: HELP,
  async run(args) {
    const { positionals } = parseCommandLine({ args, allowPositionals: true });
    const directory = onlyArgument(positionals, "umount DIR");
    const target = await Deno.realPath(directory);
    if (!isMountPoint(target)) {
      console.error(`soci-deno umount: nothing is mounted at ${target}`);
      return 1;
    }
    unmount(target);
    return 0;
  },
};
