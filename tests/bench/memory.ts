/**
 * `deno task bench:memory`: what the daemon takes of memory with 200 layers and 2 million files
 * served, idle and under 64 readers of cold files, and how long it takes until they are served.
 *
 * `--layers N` and `--files N` (of each layer) do less. Prints a table, and draws resident memory over
 * time in `tests/bench/results`.
 * @module
 */
import { parseArgs } from "node:util";
import type { DaemonStatus } from "../../cmd/daemon_status.ts";
import { askStatus } from "../../lib/host/control/mod.ts";
import { LazyHost } from "../e2e/host.ts";
import { ctrRun, pause, sociDenoCommand } from "../support/host/mod.ts";
import {
  addBusybox,
  incompressible,
  layerBlob,
  makeImage,
  pushImage,
  TarBuilder,
} from "../support/images/mod.ts";
import { startRegistry } from "../support/registry/mod.ts";
import { lineCharts } from "../tasks/soak_chart.ts";
import { saveResults } from "./results.ts";
import {
  printMachine,
  printTable,
  residentMb,
  residentParts,
  run,
  timed,
} from "./support.ts";

const READERS = 64;
const READ_BYTES = 4 * 2 ** 20;
const FILES_PER_DIRECTORY = 100;
/** Workers that have nothing to do go after two minutes. */
const IDLE_MS = 130_000;
const SAMPLE_MS = 100;

const { values } = parseArgs({
  options: {
    layers: { type: "string", default: "200" },
    files: { type: "string", default: "10000" },
  },
});
const LAYERS = Number(values.layers);
const FILES = Number(values.files);
/** One layer is the readers'. */
const ALL_FILES = (LAYERS - 1) * FILES;

/** A layer of empty files, as of package after package. */
function fileLayer(layer: number) {
  const tar = new TarBuilder().dir(`l${layer}`);
  for (let i = 0; i < FILES; i++) {
    const directory = `l${layer}/d${Math.floor(i / FILES_PER_DIRECTORY)}`;
    if (i % FILES_PER_DIRECTORY === 0) tar.dir(directory);
    tar.file(`${directory}/file-${i}`, "");
  }
  return layerBlob(tar);
}

/** What the readers read, a file each. */
function dataLayer() {
  const tar = addBusybox(new TarBuilder()).dir("data");
  for (let i = 0; i < READERS; i++) {
    tar.file(`data/${i}`, incompressible(READ_BYTES, i + 1));
  }
  return layerBlob(tar);
}

/** Samples a process's resident memory, MB, until it is stopped. */
class Memory implements Disposable {
  readonly samples: { seconds: number; mb: number }[] = [];
  readonly #started = performance.now();
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(private readonly pid: number) {
    this.#timer = setInterval(() => this.now(), SAMPLE_MS);
  }

  now(): number {
    const mb = residentMb(this.pid);
    this.samples.push({ seconds: this.seconds, mb });
    return mb;
  }

  get seconds(): number {
    return (performance.now() - this.#started) / 1000;
  }

  /** The most since then. */
  peakSince(seconds: number): number {
    return Math.max(
      ...this.samples.filter((one) => one.seconds >= seconds)
        .map(({ mb }) => mb),
    );
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

printMachine();
await using registry = startRegistry();
const layers = [
  dataLayer(),
  ...Array.from({ length: LAYERS - 1 }, (_, i) => fileLayer(i)),
];
await pushImage(
  registry.host,
  "memory:1",
  makeImage({ layers, config: { cmd: ["/bin/sh"] } }),
);
const image = `${registry.host}/memory:1`;
const build = sociDenoCommand("build-index", "--min-layer-size", "0", image);
await run(build.program, build.args); // takes minutes where the machine is busy
await using host = await LazyHost.start();
using memory = new Memory(host.pid);
const rows: string[][] = [];
const note = async (what: string, mb: number, ms?: number) => {
  const status = await askStatus(`${host.root}/control.sock`) as DaemonStatus;
  const { ownMb, fileMb } = residentParts(host.pid);
  rows.push([
    what,
    mb.toFixed(0),
    ownMb.toFixed(0),
    fileMb.toFixed(0),
    (status.heap.usedBytes / 1e6).toFixed(0),
    ms === undefined ? "" : ms.toFixed(0),
  ]);
  console.log(rows.at(-1)!.join("  "));
};
await pause(2000);
await note("nothing served", memory.now());
const beforePull = memory.seconds;
const { ms: pullMs } = await timed(() => host.pull(image));
await note(
  `${LAYERS} layers, ${ALL_FILES} files pulled: most`,
  memory.peakSince(beforePull),
  pullMs,
);
await pause(12_000);
await note("12 s later", memory.now());
const beforeReaders = memory.seconds;
const { ms: readMs } = await timed(async () => {
  const { code, stderr } = await ctrRun(host.containerd, {
    image,
    id: `readers-${crypto.randomUUID()}`,
    snapshotter: "soci",
    args: [
      "/bin/busybox",
      "sh",
      "-c",
      `for i in $(/bin/busybox seq 0 ${READERS - 1}); do
         /bin/busybox cat /data/$i > /dev/null & done; wait`,
    ],
    timeoutMs: 300_000,
  });
  if (code !== 0) throw new Error(stderr);
});
await note(
  `${READERS} readers of ${READERS * READ_BYTES / 2 ** 20} MiB: most`,
  memory.peakSince(beforeReaders),
  readMs,
);
await pause(IDLE_MS);
await note("idle", memory.now());
printTable(
  "Resident memory of the daemon",
  ["", "MB", "own, now", "of files, now", "objects, now", "ms"],
  rows,
);
const saved = saveResults("memory", { rows });
await Deno.writeTextFile(
  saved.replace(/json$/, "svg"),
  lineCharts({
    title:
      `${LAYERS} layers, ${ALL_FILES} files; dashed: pull, ${READERS} readers`,
    x: memory.samples.map(({ seconds }) => seconds),
    marks: [beforePull, beforeReaders],
    series: [{
      name: "resident MB",
      values: memory.samples.map(({ mb }) => Math.round(mb)),
    }],
  }),
);
console.log(`\nsaved: ${saved} and a chart beside it`);
