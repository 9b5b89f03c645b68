/**
 * Starts a command where it has the permissions of its command line and no others, and ends the process with its
 * exit code. Signals, terminal and standard input are the process's, so the Worker shares them.
 *
 * This isolate starts the Workers that the command's own Worker asks for, too: those that the table names for the
 * command, and no others. It keeps what these need, and runs nothing but this. Where the command asks registries and
 * starts no Worker, this isolate keeps the network and nothing else, and asks them for it.
 * @module
 */
import { draftSuffix, type Given } from "./given.ts";
import {
  type Grants,
  grantsOf,
  isName,
  type Kind,
  KINDS,
  type Line,
} from "./grants.ts";
import { spareLoopback } from "./loopback.ts";
import { readLine } from "./line.ts";
import { networkHosts } from "./network_hosts.ts";
import { MODULES_ARE_KNOWN, OWN_FILES } from "./own_files.ts";
import { serveThreads } from "../lib/host/threads/mod.ts";
import { PERMISSIONS } from "./permissions.ts";
import {
  type Call,
  loadCommand,
  runCommand,
  tellError,
} from "./run_command.ts";
import { readyThreads } from "./threads.ts";

/** By these a command's list of variables says that it knows the daemon's root. */
const ROOT_VARIABLES = ["SOCI_SNAPSHOTTER_ROOT", "SOCI_SNAPSHOTTER_*"];

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
    const kinds = needs.parts.flatMap((part) => Object.keys(part)) as Kind[];
    if (!MODULES_ARE_KNOWN && !kinds.includes("read")) {
      giveUpAllBut([...kinds, "read"]);
      await loadCommand(call);
    }
    giveUpAllBut(kinds);
    return await runCommand(call);
  }
  for (const signal of needs.outlives ?? []) {
    Deno.addSignalListener(signal, () => {}); // the command answers it, too
  }
  const { threads = [] } = needs;
  let given: Given;
  let line: Line;
  let lists: Grants;
  let only: readonly string[] = [];
  let worker: Worker;
  try {
    const read = readLine(call.args);
    const knowsRoot = needs.parts.some(({ env }) =>
      Array.isArray(env) &&
      env.some((name) => ROOT_VARIABLES.includes(name))
    );
    const root = needs.root?.(read) ?? (knowsRoot ? read.root() : null);
    line = { ...read, root: () => root ?? read.root() };
    lists = grantsOf([...needs.parts, { read: [OWN_FILES] }], line);
    const { asks, near } = needs;
    if ((asks ?? near) !== undefined) only = await networkHosts(line);
    if (only.length > 0) {
      const net = near?.(line, only).filter((host) => isName("net", host)) ??
        unixSockets(lists.net);
      lists = { ...lists, net };
    }
    const fetches = threads.includes("fetcher");
    const hosts = fetches ? [] : only;
    given = { root, draftSuffix: draftSuffix(), fetches, hosts };
    worker = startWorker(lists);
  } catch (error) {
    return tellError(error, call);
  }
  const ready = readyThreads(threads, line, needs.asks, only); // beside it
  const loaded = Promise.withResolvers<void>();
  const { promise, resolve } = Promise.withResolvers<number>();
  worker.onmessage = ({ data }: MessageEvent<Outcome | "loaded">) => {
    if (data === "loaded") loaded.resolve();
    else resolve(data.exitCode);
  };
  worker.onerror = (event) => {
    event.preventDefault();
    const { error, message, filename, lineno } = event;
    const where = filename ? ` (${filename}:${lineno})` : "";
    resolve(tellError(error ?? `${message}${where}`, call, false));
  };
  Promise.all([ready, loaded.promise]).then(([{ starters, kinds }]) => {
    // The Worker keeps its lists; its first modules were loaded with ours.
    giveUpAllBut(kinds);
    const { port1, port2 } = new MessageChannel();
    serveThreads(port1, starters);
    const order: Order = { call, given, threads: port2 };
    worker.postMessage(order, [port2]);
  }).catch((error) => resolve(tellError(error, call)));
  return await promise;
}

/** Without the hosts that a command line names, some of which the configuration may not. */
function unixSockets(net: Grants["net"]): string[] {
  return net === true ? [] : (net ?? []).filter((one) => /^unix:/.test(one));
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
