/**
 * `deno task bench:fuse`: what the layer file system adds to the least a FUSE server in this runtime
 * costs (`fuse_baseline`). Same tree, same client, same read-ahead, in turns; each measure begins
 * with a new mount, so nothing of it is in the kernel's caches, while the file behind `big` is.
 *
 * Each server runs in a process of its own: this file, called with `--serve`.
 * @module
 */
import { LayerFileSystem, LayerTree, PRESENT } from "../../lib/layerfs/mod.ts";
import { makeLayer, SLOT } from "./big_layer.ts";
import { startBaseline } from "./fuse_baseline/mod.ts";
import { median, printMachine, printTable, run } from "./support.ts";

const ROUNDS = 7;
const READ_AHEAD_KB = 1024;
/**
 * Server and client share a core: a request is then two context switches. On two cores it would be
 * two wake-ups of idle ones, which cost more than either server and vary with the machine.
 */
const CORE = "1";

const MEASURES = {
  stat: "stat/s of 50 000 files, by name",
  walk: "stat/s of 50 000 files, listing",
  sequential: "sequential MB/s, 512 MiB",
  scattered: "random 4 KiB reads/s",
} as const;
type Measure = keyof typeof MEASURES;
type Server = "layerfs" | "baseline";

/** Serves until standard input ends. */
async function serve(
  server: Server,
  layers: string,
  spanCount: number,
  mounts: string,
): Promise<void> {
  const data = `${layers}/${SLOT}/data`;
  const ready = (root: string) => console.log(root);
  const stopped = async () => {
    for await (const _ of Deno.stdin.readable);
  };
  if (server === "baseline") {
    await using _baseline = await startBaseline({
      mountpoint: mounts,
      bigFile: data,
      readAheadKb: READ_AHEAD_KB,
    });
    ready(mounts);
    await stopped();
    return;
  }
  {
    await using system = await LayerFileSystem.start({
      layersDirectory: layers,
      mountDirectory: mounts,
    });
    const { directory, presence } = system.add({
      slot: SLOT,
      spanCount,
      hasXattrs: false,
      ensure: () => Promise.reject(new Error("nothing is missing")),
      copy: () => false,
    }, new LayerTree(Deno.readFileSync(`${layers}/${SLOT}/tree`)));
    presence.fill(PRESENT);
    ready(directory);
    await stopped();
  }
}

async function measure(
  server: Server,
  layer: { folder: string; spanCount: number },
  options: { seed: number; measures: readonly Measure[] },
): Promise<Partial<Record<Measure, number>>> {
  const mounts = Deno.makeTempDirSync({ prefix: "soci-deno-bench-" });
  const child = new Deno.Command("taskset", {
    args: [
      ...[
        "-c",
        CORE,
        Deno.execPath(),
        "run",
        "-A",
        "--no-check",
        new URL(import.meta.url).pathname,
      ],
      ...["--serve", server, layer.folder, String(layer.spanCount), mounts],
    ],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  try {
    const output = child.stdout.getReader();
    const { value } = await output.read();
    const root = new TextDecoder().decode(value).trim();
    return JSON.parse(
      await run("taskset", [
        ...["-c", CORE, "python3"],
        new URL("fuse_client.py", import.meta.url).pathname,
        root,
        String(options.seed),
        ...options.measures,
      ]),
    );
  } finally {
    await child.stdin.close();
    const kill = setTimeout(() => child.kill("SIGKILL"), 10_000);
    await child.status;
    clearTimeout(kill);
    Deno.removeSync(mounts);
  }
}

async function main(): Promise<void> {
  printMachine();
  const layer = makeLayer();
  await Deno.readFile(`${layer.folder}/${SLOT}/data`); // into the page cache
  const figures: Record<Server, Record<Measure, number[]>> = {
    layerfs: { stat: [], walk: [], sequential: [], scattered: [] },
    baseline: { stat: [], walk: [], sequential: [], scattered: [] },
  };
  const sets: Measure[][] = [["stat", "sequential"], ["walk", "scattered"]];
  for (let seed = 0; seed < ROUNDS; seed++) {
    for (const measures of sets) {
      for (const server of ["layerfs", "baseline"] as const) {
        const found = await measure(server, layer, { seed, measures });
        for (const name of measures) {
          figures[server][name].push(found[name] as number);
        }
      }
    }
  }
  // Whatever else runs only makes things slower, so the best round is the truest.
  printTable(
    `FUSE, cold, all spans present, one core: best of ${ROUNDS} rounds in turns`,
    ["measure", "layerfs", "baseline", "ratio", "ratio of medians"],
    (Object.keys(MEASURES) as Measure[]).map((name) => {
      const ours = figures.layerfs[name];
      const theirs = figures.baseline[name];
      return [
        MEASURES[name],
        Math.max(...ours).toFixed(0),
        Math.max(...theirs).toFixed(0),
        (Math.max(...ours) / Math.max(...theirs)).toFixed(2),
        (median(ours) / median(theirs)).toFixed(2),
      ];
    }),
  );
}

if (Deno.args[0] === "--serve") {
  const [, server, layers, spanCount, mounts] = Deno.args as string[];
  await serve(
    server as Server,
    layers as string,
    Number(spanCount),
    mounts as string,
  );
  Deno.exit(0); // a Worker blocked in its read would hold the process
} else await main();
