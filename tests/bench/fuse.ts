/**
 * `deno task bench:fuse`: our FUSE file system beside a minimal C server that gives the same answers
 * (`fuse_c/server.c`: same tree file, flags, timeouts; raw `/dev/fuse`), in turns, in the same run.
 * Each measure begins with a new mount, so nothing of it is in the kernel's caches, while the data
 * file is; it is taken over several layers that look the same: first by a server that has just started
 * (whose code V8 has not compiled yet), and what counts is the last. Beside the rate stands what the
 * server used of the processor for each operation: that varies less when something else runs.
 *
 * Options: `--rounds=N`, `--only=stat,random`, `--servers=c1,deno2`, `--also=NAME=PATH` (another
 * checkout's `fuse_server.ts`, one Worker), `--json`.
 * @module
 */
import { parseArgs } from "node:util";
import { chart } from "./chart.ts";
import { type BenchLayer, endServer, makeBenchLayer } from "./fuse_layer.ts";
import { saveResults } from "./results.ts";
import {
  cacheFolder,
  median,
  printMachine,
  printTable,
  run,
} from "./support.ts";

/** One thing the client does, by one or more of its threads. */
interface Measure {
  readonly name: string;
  readonly does: string;
  readonly threads: number;
  /** What one operation is; MB for the sequential read. */
  readonly unit: string;
  readonly title: string;
}

const MEASURES: readonly Measure[] = [
  { name: "stat", does: "stat", threads: 1, unit: "files" },
  { name: "stat8", does: "stat", threads: 8, unit: "files" },
  { name: "missing", does: "missing", threads: 1, unit: "names" },
  { name: "walk", does: "walk", threads: 1, unit: "files" },
  { name: "list", does: "list", threads: 1, unit: "files" },
  { name: "ls", does: "ls", threads: 1, unit: "files" },
  { name: "small", does: "small", threads: 1, unit: "files" },
  { name: "random", does: "random", threads: 1, unit: "reads" },
  { name: "random8", does: "random", threads: 8, unit: "reads" },
  { name: "sequential", does: "sequential", threads: 1, unit: "MB" },
].map((measure) => ({
  ...measure,
  title: {
    stat: "stat by name",
    missing: "stat of names that are not there",
    walk: "list and stat everything",
    list: "list everything",
    ls: "ls -lR",
    small: "open, read, close small files",
    random: "random 4 KiB reads",
    sequential: "sequential read of 512 MiB",
  }[measure.does] + (measure.threads > 1 ? `, ${measure.threads} threads` : ""),
}));
const FILES = 50_000;

/** Who serves: given the place for its mounts, the command that does. */
interface Server {
  readonly name: string;
  command(mounts: string): readonly string[];
}

interface Figure {
  /** Operations a second. */
  readonly rate: number;
  /** Server time, microseconds an operation. */
  readonly serverMicros: number;
  /** The same of the first use after the server's start. */
  readonly firstMicros: number;
}

async function compile(name: "server" | "client"): Promise<string> {
  const source = new URL(`fuse_c/${name}.c`, import.meta.url).pathname;
  const program = `${cacheFolder()}/fuse_${name}`;
  await run("cc", ["-O2", "-Wall", "-o", program, source, "-lpthread"]);
  return program;
}

/** Nanoseconds all threads of a process have run. */
function processTime(pid: number): number {
  let total = 0;
  for (const { name } of Deno.readDirSync(`/proc/${pid}/task`)) {
    const text = Deno.readTextFileSync(`/proc/${pid}/task/${name}/schedstat`);
    total += Number(text.split(" ")[0]);
  }
  return total;
}

async function use(
  client: string,
  root: string,
  measure: Measure,
  seed: number,
): Promise<{ operations: number; seconds: number }> {
  if (measure.does === "ls") {
    const start = performance.now();
    await run("ls", ["-lR", root]);
    return { operations: FILES, seconds: (performance.now() - start) / 1000 };
  }
  const { threads, does } = measure;
  const text = await run(client, [root, `${seed}`, `${threads}`, does]);
  const [count, seconds] = text.split(" ").map(Number) as [number, number];
  return { operations: does === "sequential" ? count / 1e6 : count, seconds };
}

async function measureOnce(
  server: Server,
  { client, layer }: { client: string; layer: BenchLayer },
  measure: Measure,
  seed: number,
): Promise<Figure> {
  const data = `${layer.folder}/1/data`;
  const mounts = Deno.makeTempDirSync({ prefix: "soci-deno-bench-" });
  const [program, ...args] = server.command(mounts) as [string, ...string[]];
  const child = new Deno.Command(program, {
    args,
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  try {
    const { value } = await child.stdout.getReader().read();
    const root = new TextDecoder().decode(value).trim();
    if (root === "") throw new Error(`${server.name} does not serve`);
    const figure = async (slot: number) => {
      // Into the page cache, whatever else needs memory.
      if (measure.does === "random" || measure.does === "sequential") {
        await run("dd", [`if=${data}`, "of=/dev/null", "bs=1M"]);
      }
      const before = processTime(child.pid);
      const { operations, seconds } = await use(
        client,
        `${root}/${slot}`,
        measure,
        seed,
      );
      const used = processTime(child.pid) - before;
      return {
        rate: operations / seconds,
        serverMicros: used / 1000 / operations,
      };
    };
    const figures = [];
    for (const slot of layer.slots) figures.push(await figure(slot));
    return { ...figures.at(-1)!, firstMicros: figures[0]!.serverMicros };
  } finally {
    await endServer(child, mounts);
  }
}

function servers(
  layer: BenchLayer,
  cServer: string,
  also: readonly string[],
): Server[] {
  const { folder, slots, spanCount } = layer;
  const deno = (name: string, script: string, workers: number): Server => ({
    name,
    command: (mounts) => [
      ...[Deno.execPath(), "run", "-A", "--no-check", script],
      ...[folder, `${slots.length}`, `${spanCount}`, mounts, `${workers}`, "n"],
    ],
  });
  const c = (threads: number): Server => ({
    name: `c${threads}`,
    command: (
      mounts,
    ) => [cServer, mounts, folder, `${slots.length}`, `${threads}`],
  });
  const ours = new URL("fuse_server.ts", import.meta.url).pathname;
  return [
    c(1),
    deno("deno1", ours, 1),
    c(2),
    deno("deno2", ours, 2),
    ...also.map((pair) => {
      const [name, path] = pair.split("=") as [string, string];
      return deno(name, path, 1);
    }),
  ];
}

/** The C server with as many threads as this one has Workers. */
function peerOf(name: string): string {
  return name.startsWith("c") ? name : name.endsWith("2") ? "c2" : "c1";
}

async function main(): Promise<void> {
  const { values: options } = parseArgs({
    args: Deno.args,
    options: {
      rounds: { type: "string", default: "5" },
      only: { type: "string" },
      servers: { type: "string" },
      also: { type: "string", multiple: true, default: [] },
      json: { type: "boolean", default: false },
    },
  });
  const rounds = Number(options.rounds);
  const layer = makeBenchLayer();
  const client = await compile("client");
  const all = servers(layer, await compile("server"), options.also);
  const chosen = all.filter(({ name }) =>
    options.servers === undefined || options.servers.split(",").includes(name)
  );
  const measures = MEASURES.filter(({ name }) =>
    options.only === undefined || options.only.split(",").includes(name)
  );
  if (!options.json) printMachine();

  const figures = new Map<string, Figure[]>();
  const of = (measure: Measure, server: string) =>
    figures.get(`${measure.name} ${server}`) ?? [];
  for (let seed = 0; seed < rounds; seed++) {
    for (const measure of measures) {
      for (const server of chosen) {
        const figure = await measureOnce(
          server,
          { client, layer },
          measure,
          seed,
        );
        const key = `${measure.name} ${server.name}`;
        figures.set(key, [...figures.get(key) ?? [], figure]);
      }
    }
  }

  const results = measures.flatMap((measure) =>
    chosen.map(({ name }) => {
      const mine = of(measure, name);
      const peer = of(measure, peerOf(name));
      const rate = median(mine.map((figure) => figure.rate));
      const micros = median(mine.map((figure) => figure.serverMicros));
      // Both of a round ran beside each other, so their ratio is truer than that of the medians.
      const ratio = (key: keyof Figure) =>
        peer.length === 0
          ? NaN
          : median(mine.map((figure, i) => figure[key] / peer[i]![key]));
      return {
        measure: measure.name,
        title: measure.title,
        unit: measure.unit,
        server: name,
        rate,
        serverMicros: micros,
        rateRatio: ratio("rate"),
        serverRatio: ratio("serverMicros"),
        firstMicros: median(mine.map((figure) => figure.firstMicros)),
      };
    })
  );
  const saved = saveResults("fuse", { rounds, results });
  const drawing = chart({
    title: "Speed beside a C server with as many threads (1 = the same)",
    unit: "times C",
    line: 1,
    groups: measures.map(({ title }) => title),
    series: chosen.filter(({ name }) => !name.startsWith("c")).map((
      { name },
    ) => ({
      name,
      values: measures.map((measure) =>
        results.find((result) =>
          result.measure === measure.name && result.server === name
        )!.rateRatio
      ),
    })),
  });
  Deno.writeTextFileSync(saved.replace(/json$/, "svg"), drawing);
  if (options.json) return console.log(JSON.stringify({ rounds, results }));
  printTable(
    `FUSE, cold, all spans present: medians of ${rounds} rounds in turns`,
    ["measure", "server", "rate/s", "of C", "server µs", "of C", "first µs"],
    results.map((result) => [
      `${result.title} (${result.unit})`,
      result.server,
      result.rate.toFixed(0),
      result.rateRatio.toFixed(2),
      result.serverMicros.toFixed(1),
      result.serverRatio.toFixed(2),
      result.firstMicros.toFixed(1),
    ]),
  );
  console.log(`\n${saved} and .svg`);
}

await main();
