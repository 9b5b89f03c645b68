/** Runs one command in a Worker, under the permissions of its command line (`launch.ts`). @module */
import { startThreadsElsewhere } from "../lib/host/threads/mod.ts";
import { takeGiven } from "./given.ts";
import type { Order, Outcome } from "./launch.ts";
import { runCommand } from "./run_command.ts";

self.onmessage = async ({ data }: MessageEvent<Order>) => {
  const { call, given, threads } = data;
  takeGiven(given);
  startThreadsElsewhere(threads);
  const outcome: Outcome = { exitCode: await runCommand(call) };
  self.postMessage(outcome);
};
self.postMessage("loaded");
