/**
 * The subcommands, in the order the overview shows them.
 * @module
 */
import { buildIndexCommand } from "./build_index.ts";
import type { Command } from "./command.ts";
import { configCommand } from "./config.ts";
import { mountCommand } from "./mount.ts";
import { pullCommand } from "./pull.ts";
import { serveCommand } from "./serve.ts";
import { umountCommand } from "./umount.ts";

/** Every subcommand of the binary. */
export const COMMANDS: readonly Command[] = [
  serveCommand,
  buildIndexCommand,
  pullCommand,
  mountCommand,
  umountCommand,
  configCommand,
];
