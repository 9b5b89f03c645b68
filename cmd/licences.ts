/**
 * `soci-deno licences`: prints the licence of the program and those of all that is inside it.
 * @module
 */
import { readTextIfThere } from "../lib/host/files/mod.ts";
import { type Command, noArgument, parseCommandLine } from "./command.ts";
import { OWN_FILES } from "./own_files.ts";

const HELP = `
Print the licence of soci-deno and the licences of the packages inside it. (Deno itself, which the
single binary holds, is under the MIT licence: https://docs.deno.com.)

Usage: soci-deno licences
`;

/** The `licences` subcommand. */
export const licencesCommand: Command = {
  help: HELP,
  run(args) {
    const { positionals } = parseCommandLine({ args, allowPositionals: true });
    noArgument(positionals, "licences");
    const all = readTextIfThere(`${OWN_FILES}/licences.txt`);
    console.log((all ?? Deno.readTextFileSync(`${OWN_FILES}/LICENSE`)).trim());
    if (all === null) {
      console.error(
        "soci-deno licences: this runs from sources, so the licences of packages are in their own folders; a bundle or binary has them all",
      );
    }
    return Promise.resolve(0);
  },
};
