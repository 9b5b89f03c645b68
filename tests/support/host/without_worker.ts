/**
 * Runs one command of soci-deno in the process itself, without the Worker that confines it: a Worker that
 * starts another one waits a second for it (Deno 2.9.6). For tests that need an index and test something else.
 * @module
 */
import { runCommand } from "../../../cmd/run_command.ts";

const [word = "", ...args] = Deno.args;
Deno.exit(
  await runCommand({
    persona: "soci-deno",
    words: [word],
    called: `soci-deno ${word}`,
    args,
  }),
);
