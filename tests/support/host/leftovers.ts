import { tryRun } from "./command.ts";

/** What is left below a path. */
export interface Leftovers {
  /** Mount points, deepest first. */
  readonly mounts: readonly string[];
  readonly processes: ReadonlyArray<{ pid: number; command: string }>;
  /** Paths of bound unix sockets. */
  readonly sockets: readonly string[];
}

/** Finds mounts, processes (by their command line) and unix sockets under a path. */
export function leftovers(prefix: string): Leftovers {
  return {
    mounts: mountsUnder(prefix),
    processes: processesNaming(prefix),
    sockets: socketsUnder(prefix),
  };
}

const isUnder = (path: string, prefix: string) =>
  path === prefix || path.startsWith(`${prefix}/`);

function mountsUnder(prefix: string): string[] {
  return Deno.readTextFileSync("/proc/self/mountinfo").split("\n")
    .filter((line) => line !== "")
    .map((line) =>
      // spaces and the like stand as \040 (proc(5))
      line.split(" ")[4]!.replace(
        /\\([0-7]{3})/g,
        (_, octal) => String.fromCharCode(parseInt(octal, 8)),
      )
    )
    .filter((path) => isUnder(path, prefix))
    .reverse();
}

/** Processes with the text in their command line, other than this one. */
export function processesNaming(
  text: string,
): Array<{ pid: number; command: string }> {
  const found = [];
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name) || Number(name) === Deno.pid) continue;
    try {
      const command = Deno.readTextFileSync(`/proc/${name}/cmdline`)
        .replaceAll("\0", " ").trim();
      if (command.includes(text)) found.push({ pid: Number(name), command });
    } catch {
      // ended between the two reads
    }
  }
  return found;
}

/** Processes whose parent is `parent`. */
export function childrenOf(parent: number): number[] {
  const children = [];
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      // `pid (name) state parent ...`; the name may hold anything, also parentheses (proc(5))
      const stat = Deno.readTextFileSync(`/proc/${name}/stat`);
      const [, ppid] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      if (Number(ppid) === parent) children.push(Number(name));
    } catch {
      // ended between the two reads
    }
  }
  return children;
}

function socketsUnder(prefix: string): string[] {
  return Deno.readTextFileSync("/proc/net/unix").split("\n")
    .map((line) => line.trim().split(/\s+/)[7] ?? "")
    .filter((path) => isUnder(path, prefix));
}

/** Unmounts every mount below a path, even dead ones. */
export async function unmountAll(prefix: string): Promise<void> {
  await abortConnections(prefix);
  for (const path of mountsUnder(prefix)) {
    await tryRun("umount", ["-l", path], { timeoutMs: 10_000 });
  }
}

/**
 * Aborts the FUSE connections below a path. Otherwise dead ones would block their readers, and
 * `sync`, for ever.
 */
async function abortConnections(prefix: string): Promise<void> {
  const connections = "/sys/fs/fuse/connections";
  if ([...Deno.readDirSync(connections)].length === 0) {
    await tryRun("mount", ["-t", "fusectl", "fusectl", connections], {
      timeoutMs: 10_000,
    });
  }
  for (
    const line of Deno.readTextFileSync("/proc/self/mountinfo").split("\n")
  ) {
    const [, , device = "", , mountpoint = ""] = line.split(" ");
    if (!isUnder(mountpoint, prefix) || !line.includes(" - fuse.")) continue;
    try {
      const number = device.split(":")[1];
      await Deno.writeTextFile(`${connections}/${number}/abort`, "1");
    } catch {
      // gone meanwhile
    }
  }
}
