/**
 * Starts a command where it has the permissions of its command line and no others, and ends the process with its
 * exit code. Signals, terminal and standard input are the process's, so the Worker shares them.
 *
 * This isolate starts the Workers that the command's own Worker asks for, too: those that the table names for the
 * command, and no others. It keeps what these need, and runs nothing but this.
 * @module
 */
import { draftSuffix, type Given } from "./given.ts";
import {
  type Grants,
  grantsOf,
  type Kind,
  KINDS,
  type Line,
} from "./grants.ts";
import { spareLoopback } from "./loopback.ts";
import { readLine } from "./line.ts";
import { OWN_FILES } from "./own_files.ts";
import { serveThreads } from "../lib/host/threads/mod.ts";
import { PERMISSIONS } from "./permissions.ts";
import { type Call, runCommand, tellError } from "./run_command.ts";
import { kindsOfThreads, threadStarters } from "./threads.ts";

/** What a command's Worker is sent first. */
export interface Order {
  readonly call: Call;
  readonly given: Given;
  /** Where it asks for Workers of its own. */
  readonly threads: MessagePort;
}

/** What it answers when it is done. */
export interface Outcome {
  readonly exitCode: number;
}

/** Runs a command. @returns its exit code */
export async function launch(call: Call): Promise<number> {
  const needs = PERMISSIONS[call.words.join(" ")]!;
  const mayProxy = needs.parts.some(({ env }) =>
    Array.isArray(env) && env.includes("NO_PROXY")
  );
  if (mayProxy) spareLoopback();
  if (needs.runs === "process") {
    const kinds = needs.parts.flatMap((part) => Object.keys(part));
    giveUpAllBut(kinds as Kind[]);
    return await runCommand(call);
  }
  const { threads = [] } = needs;
  let given: Given;
  let line: Line;
  let lists: Grants;
  try {
    const read = readLine(call.args);
    const knowsRoot = needs.parts.some(({ env }) =>
      Array.isArray(env) && env.includes("SOCI_SNAPSHOTTER_ROOT")
    );
    const root = knowsRoot ? read.root() : null;
    line = { ...read, root: () => root ?? read.root() };
    lists = grantsOf([...needs.parts, { read: [OWN_FILES] }], line);
    const fetches = threads.includes("fetcher");
    given = { root, draftSuffix: draftSuffix(), fetches };
  } catch (error) {
    return tellError(error, call);
  }
  const starters = threadStarters(threads, line, needs.asks);
  const worker = startWorker(lists);
  const { promise, resolve } = Promise.withResolvers<number>();
  worker.onmessage = ({ data }: MessageEvent<Outcome | "loaded">) => {
    if (data !== "loaded") return resolve(data.exitCode);
    // The Worker keeps its lists; its first modules were loaded with ours.
    giveUpAllBut(kindsOfThreads(threads));
    const { port1, port2 } = new MessageChannel();
    serveThreads(port1, starters);
    const order: Order = { call, given, threads: port2 };
    worker.postMessage(order, [port2]);
  };
  worker.onerror = (event) => {
    event.preventDefault();
    resolve(tellError(event.error ?? event.message, call, false));
  };
  return await promise;
}

function startWorker(lists: Grants): Worker {
  const start = (permissions: Deno.PermissionOptionsObject) =>
    new Worker(new URL("./command_worker.ts", import.meta.url), {
      type: "module",
      deno: { permissions },
    });
  const permissions = Object.fromEntries(KINDS.map((kind) => {
    const list = lists[kind] ?? [];
    return [kind, list === true ? "inherit" : list.length > 0 ? list : false];
  }));
  return start(permissions);
}

/** A permission that is given up cannot be regained. */
function giveUpAllBut(needs: readonly Kind[]): void {
  for (const name of KINDS) {
    if (!needs.includes(name)) Deno.permissions.revokeSync({ name });
  }
}
