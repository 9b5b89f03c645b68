/**
 * `soci-deno completion`: prints the script by which a shell completes command lines.
 * @module
 */
import { bashScript } from "./completion/bash.ts";
import { fishScript } from "./completion/fish.ts";
import { GROUPS, LINES } from "./completion/lines.ts";
import { zshScript } from "./completion/zsh.ts";
import {
  type Command,
  onlyArgument,
  parseCommandLine,
  UsageError,
} from "./command.ts";
import { didYouMean } from "./nearest.ts";

const HELP = `
Print the script by which a shell completes soci-deno's commands and flags.

Usage: soci-deno completion bash|zsh|fish

For this shell alone:
  bash   source <(soci-deno completion bash)
  zsh    source <(soci-deno completion zsh)      (after compinit)
  fish   soci-deno completion fish | source
For all: into /usr/share/bash-completion/completions/soci-deno, a file _soci-deno in a folder of
zsh's fpath, or /usr/share/fish/vendor_completions.d/soci-deno.fish. The packages bring these files.
`;

const SCRIPTS = { bash: bashScript, zsh: zshScript, fish: fishScript };

/** The `completion` subcommand. */
export const completionCommand: Command = {
  help: HELP,
  run(args) {
    const { positionals } = parseCommandLine({ args, allowPositionals: true });
    const shell = onlyArgument(positionals, "completion bash|zsh|fish");
    if (!Object.hasOwn(SCRIPTS, shell)) {
      const near = didYouMean(shell, Object.keys(SCRIPTS)) ||
        "; say bash, zsh or fish";
      throw new UsageError(`no completion for "${shell}"${near}`);
    }
    const script = SCRIPTS[shell as keyof typeof SCRIPTS];
    console.log(script(LINES, GROUPS).trimEnd());
    return Promise.resolve(0);
  },
};
