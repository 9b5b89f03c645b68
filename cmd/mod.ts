/**
 * The subcommands, in the order the overview shows them.
 * @module
 */
import type { Command } from "./command.ts";
import { configCommand } from "./config.ts";

/** Every subcommand of the binary. */
export const COMMANDS: readonly Command[] = [configCommand];
