/**
 * `deno task profile:fuse`: where the microseconds of a request go. The kernel's own clocks say what
 * each thread used; nothing is measured inside the loop, which would cost more than what it measures.
 *
 * For each kind of request, an operation's mean: the whole time the client saw; of it, the client's
 * thread (mostly the kernel's file system code on its behalf); the Worker outside the kernel (the
 * handler and the codecs, in JavaScript) and inside (`read`, `pread`, `write`, and the copying they
 * do); the main isolate (taking from the ring, waking, the reply of a missing read); and what is left,
 * when nobody ran: waiting to be woken, or for a core.
 *
 * Option: `--json`.
 * @module
 */
import { parseArgs } from "node:util";
import { type BenchLayer, endServer, makeBenchLayer } from "./fuse_layer.ts";
import { saveResults } from "./results.ts";
import { cacheFolder, printMachine, printTable, run } from "./support.ts";

/** What the client does, and what the server lacks. */
interface Kind {
  readonly title: string;
  readonly does: string;
  /** Arguments of `fuse_server.ts` after the face. */
  readonly missing: readonly string[];
  /** Operations that make one request, for pages of a directory. */
  readonly perRequest: number;
}

const KINDS: readonly Kind[] = [
  { title: "LOOKUP", does: "stat", missing: [], perRequest: 1 },
  {
    // And the empty page that ends each listing.
    title: "READDIRPLUS page of 102 entries",
    does: "list",
    missing: [],
    perRequest: 100,
  },
  { title: "READ 4 KiB, here", does: "random", missing: [], perRequest: 1 },
  {
    title: "READ 4 KiB, missing, there at once",
    does: "random",
    missing: ["0"],
    perRequest: 1,
  },
  {
    title: "READ 1 MiB, here",
    does: "sequential",
    missing: [],
    perRequest: 2 ** 20,
  },
];

/** Seconds of processor time, outside and inside the kernel. */
interface Used {
  user: number;
  system: number;
}

const TICKS = 100; // USER_HZ, the same on all architectures

function usedBy(path: string): Used {
  const text = Deno.readTextFileSync(path);
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return {
    user: Number(fields[11]) / TICKS,
    system: Number(fields[12]) / TICKS,
  };
}

/** Time of the main thread, and of all others together: the Workers, and V8's own threads. */
function threadTimes(pid: number): { main: Used; others: Used } {
  const main = usedBy(`/proc/${pid}/task/${pid}/stat`);
  const all = usedBy(`/proc/${pid}/stat`);
  return {
    main,
    others: { user: all.user - main.user, system: all.system - main.system },
  };
}

/** Microseconds of one request. */
interface Parts {
  readonly whole: number;
  readonly client: number;
  readonly script: number;
  readonly calls: number;
  readonly main: number;
  readonly idle: number;
}

async function profile(
  layer: BenchLayer,
  client: string,
  kind: Kind,
): Promise<Parts> {
  const mounts = Deno.makeTempDirSync({ prefix: "soci-deno-bench-" });
  const { folder, slots, spanCount } = layer;
  const server = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "-A", "--no-check"],
      new URL("fuse_server.ts", import.meta.url).pathname,
      ...[folder, `${slots.length}`, `${spanCount}`, mounts, "1", "n"],
      ...kind.missing,
    ],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  try {
    const { value } = await server.stdout.getReader().read();
    const root = new TextDecoder().decode(value).trim();
    const use = async (slot: number) => {
      const text = await run("bash", [
        "-c",
        'TIMEFORMAT="%U %S"; time "$@"',
        "client",
        ...[client, `${root}/${slot}`, "1", "1", kind.does],
      ], { stderrToo: true });
      const [count, seconds, user, system] = text.split(/\s+/).map(Number);
      return { count: count!, seconds: seconds!, used: user! + system! };
    };
    // Until V8 has compiled what is used.
    for (const slot of slots.slice(0, 2)) await use(slot);
    const before = threadTimes(server.pid);
    let count = 0;
    let seconds = 0;
    let used = 0;
    for (const slot of slots.slice(2)) {
      const part = await use(slot);
      count += part.count;
      seconds += part.seconds;
      used += part.used;
    }
    const after = threadTimes(server.pid);
    const requests = count / kind.perRequest;
    const micros = (value: number) => value * 1e6 / requests;
    const script = micros(after.others.user - before.others.user);
    const calls = micros(after.others.system - before.others.system);
    const main = micros(
      after.main.user + after.main.system - before.main.user -
        before.main.system,
    );
    const parts = {
      whole: micros(seconds),
      client: micros(used),
      script,
      calls,
      main,
    };
    const running = parts.client + script + calls + main;
    return { ...parts, idle: Math.max(0, parts.whole - running) };
  } finally {
    await endServer(server, mounts);
  }
}

const { values: options } = parseArgs({
  args: Deno.args,
  options: { json: { type: "boolean", default: false } },
});
const layer = makeBenchLayer();
const source = new URL("fuse_c/client.c", import.meta.url).pathname;
const client = `${cacheFolder()}/fuse_client`;
await run("cc", ["-O2", "-Wall", "-o", client, source, "-lpthread"]);
await run("dd", [`if=${layer.folder}/1/data`, "of=/dev/null", "bs=1M"]);
if (!options.json) printMachine();
const results = [];
for (const kind of KINDS) {
  results.push({
    title: kind.title,
    ...await profile(layer, client, kind),
  });
}
saveResults("fuse-profile", { results });
if (options.json) console.log(JSON.stringify({ results }));
else {
  printTable(
    "Microseconds of one request, mean, one Worker, from a warm server",
    ["request", "whole", "client", "JS", "calls", "main isolate", "nobody ran"],
    results.map(({ title, ...parts }) => [
      title,
      ...[parts.whole, parts.client, parts.script, parts.calls, parts.main]
        .map((value) => value.toFixed(1)),
      parts.idle.toFixed(1),
    ]),
  );
}
