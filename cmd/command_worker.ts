/** Runs one command in a Worker, under the permissions of its command line (`launch.ts`). @module */
import { takeGiven } from "./given.ts";
import type { Order, Outcome } from "./launch.ts";
import { runCommand } from "./run_command.ts";

self.onmessage = async ({ data: { call, given } }: MessageEvent<Order>) => {
  takeGiven(given);
  const outcome: Outcome = { exitCode: await runCommand(call) };
  self.postMessage(outcome);
};
self.postMessage("loaded");
