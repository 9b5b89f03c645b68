/**
 * `soci-deno config`: prints the daemon's configuration.
 * @module
 */
import {
  DEFAULT_CONFIG_PATH,
  defaultConfig,
  dumpConfig,
  loadConfig,
} from "../lib/config/mod.ts";
import { type Command, parseCommandLine, UsageError } from "./command.ts";

const HELP = `
Print the daemon's configuration as TOML.

Usage:
  soci-deno config default          what an empty file means
  soci-deno config dump [--config FILE]
                                    what the daemon would run with

Flags:
  --config FILE   the file to read (default ${DEFAULT_CONFIG_PATH};
                  also SOCI_SNAPSHOTTER_CONFIG)
  --json          JSON instead of TOML

Keys the program does not know are named on stderr.
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
    if ((what !== "default" && what !== "dump") || extra.length > 0) {
      throw new UsageError("say `config default` or `config dump`");
    }
    let config = defaultConfig();
    if (what === "dump") {
      const loaded = loadConfig(
        values.config ?? Deno.env.get("SOCI_SNAPSHOTTER_CONFIG"),
      );
      config = loaded.config;
      for (const key of loaded.unknownKeys) {
        console.error(`warning: unknown key ${key}`);
      }
    }
    console.log(
      values.json
        ? JSON.stringify(config, null, 2)
        : dumpConfig(config).trimEnd(),
    );
    return Promise.resolve(0);
  },
};
