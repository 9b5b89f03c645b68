/**
 * `soci-deno config`: prints the daemon's configuration.
 * @module
 */
import {
  checkConfig,
  type Config,
  configurationPage,
  DEFAULT_CONFIG_PATH,
  defaultConfig,
  describeFinding,
  dumpConfig,
  loadConfig,
  readConfigFile,
} from "../lib/config/mod.ts";
import { type Command, parseCommandLine, UsageError } from "./command.ts";

const HELP = `
Print or check the daemon's configuration.

Usage:
  soci-deno config default          what an empty file means
  soci-deno config dump [--config FILE]
                                    what the daemon would run with
  soci-deno config check [--config FILE]
                                    all that is wrong or has no effect in a file;
                                    the exit code is 1 where there is anything
  soci-deno config reference        every key, what it does, its default (Markdown)

Flags:
  --config FILE   the file to read (default ${DEFAULT_CONFIG_PATH};
                  also SOCI_SNAPSHOTTER_CONFIG)
  --json          JSON: the configuration, or the list of findings

\`dump\` marks keys that have no effect, and names on stderr those that the file
sets and those that the program does not know.
`;

/** The `config` subcommand. */
export const configCommand: Command = {
  help: HELP,
  run(args) {
    const { values, positionals } = parseCommandLine({
      args,
      allowPositionals: true,
      options: {
        config: { type: "string" },
        json: { type: "boolean", default: false },
      },
    });
    const [what, ...extra] = positionals;
    const path = values.config ?? Deno.env.get("SOCI_SNAPSHOTTER_CONFIG");
    if (extra.length > 0) throw new UsageError(SAY);
    switch (what) {
      case "check":
        return Promise.resolve(check(path, values.json));
      case "default":
        print(defaultConfig(), values.json);
        return Promise.resolve(0);
      case "dump": {
        const { file } = readConfigFile(path);
        const { config, findings } = loadConfig(path);
        for (const finding of findings) {
          console.error(`warning: ${describeFinding(file, finding)}`);
        }
        print(config, values.json);
        return Promise.resolve(0);
      }
      case "reference":
        console.log(configurationPage().trimEnd());
        return Promise.resolve(0);
      default:
        throw new UsageError(SAY);
    }
  },
};

const SAY = "say `config default`, `dump`, `check` or `reference`";

function print(config: Config, asJson: boolean): void {
  console.log(
    asJson ? JSON.stringify(config, null, 2) : dumpConfig(config).trimEnd(),
  );
}

/** @returns the exit code. */
function check(path: string | undefined, asJson: boolean): number {
  const { file, toml } = readConfigFile(path);
  const { findings } = checkConfig(toml);
  if (asJson) {
    console.log(JSON.stringify({ file, findings }, null, 2));
  } else {
    for (const finding of findings) {
      console.log(describeFinding(file, finding));
    }
    if (findings.length === 0) console.log(`${file}: all keys are in effect`);
  }
  return findings.length === 0 ? 0 : 1;
}
