/**
 * `deno task bench:inflate`: how fast gzip is read with checkpoints, against `pigz -dc`, both on one
 * core, and how long one span takes.
 *
 * Ours runs in a process of its own (this file, called with `--measure`) so that `taskset` can bind
 * it to a core. What is timed there is reading the file in pieces and inflating it; for pigz it is
 * the whole process, whose start is below a hundredth of the time.
 * @module
 */
import {
  type Checkpoint,
  GzipIndexer,
  SpanInflater,
} from "../../lib/formats/deflate/mod.ts";
import { chart } from "./chart.ts";
import { saveResults } from "./results.ts";
import {
  cacheFolder,
  exists,
  median,
  printMachine,
  printTable,
  run,
  someFiles,
  timed,
} from "./support.ts";

const ROUNDS = 3;
const TAR_BYTES = 850 * 2 ** 20;
const SPAN_BYTES = 4 * 2 ** 20;
const READ_BYTES = 2 ** 20;
/** The core both run on. */
const CORE = "1";

interface Measured {
  /** Milliseconds for the whole file. */
  readonly indexMs: number;
  readonly uncompressedBytes: number;
  /** Milliseconds of each span, read back one by one. */
  readonly spanMs: readonly number[];
}

/** Real files as a gzip layer: what `tar cz` makes of them. */
async function makeInput(name: string, compressor: string): Promise<string> {
  const path = `${cacheFolder()}/${name}`;
  if (exists(path)) return path;
  console.log(`making ${path} (kept for later runs)`);
  const list = `${path}.list`;
  Deno.writeTextFileSync(list, someFiles("/usr/lib", TAR_BYTES).join("\n"));
  await run("sh", [
    "-c",
    `tar -P -cf - -T "$1" | ${compressor} > "$2.part" && mv "$2.part" "$2"`,
    "sh",
    list,
    path,
  ]);
  return path;
}

function index(path: string): { bytes: number; checkpoints: Checkpoint[] } {
  const checkpoints: Checkpoint[] = [];
  const indexer = new GzipIndexer({
    spanSize: SPAN_BYTES,
    onOutput: () => {},
    onCheckpoint: (checkpoint) => checkpoints.push(checkpoint),
  });
  using file = Deno.openSync(path);
  const buffer = new Uint8Array(READ_BYTES);
  for (;;) {
    const count = file.readSync(buffer);
    if (count === null) break;
    indexer.push(buffer.subarray(0, count));
  }
  return { bytes: indexer.finish().uncompressedSize, checkpoints };
}

/** Reads every span back, as a reader of the image would. */
function readSpans(
  path: string,
  { bytes, checkpoints }: { bytes: number; checkpoints: Checkpoint[] },
): number[] {
  const compressed = Deno.readFileSync(path);
  const inflater = new SpanInflater();
  return checkpoints.map(({ in: start, out, bits, window }, i) => {
    const next = checkpoints[i + 1];
    const span = compressed.subarray(start - (bits > 0 ? 1 : 0), next?.in);
    const begun = performance.now();
    inflater.inflate(span, bits, window, (next?.out ?? bytes) - out);
    return performance.now() - begun;
  });
}

async function measure(path: string): Promise<Measured> {
  const { ms, value } = await timed(() => index(path));
  return {
    indexMs: ms,
    uncompressedBytes: value.bytes,
    spanMs: readSpans(path, value),
  };
}

interface Compared {
  readonly label: string;
  readonly megabytes: number;
  /** MB of tar a second. */
  readonly ours: number;
  readonly pigz: number;
  /** Of 4 MiB. */
  readonly spanMs: number;
  readonly slowestSpanMs: number;
}

async function compare(label: string, path: string): Promise<Compared> {
  const ours: number[] = [];
  const theirs: number[] = [];
  const spans: number[] = [];
  let megabytes = 0;
  await Deno.readFile(path); // into the page cache
  for (let round = 0; round < ROUNDS; round++) {
    const { indexMs, uncompressedBytes, spanMs } = JSON.parse(
      await run("taskset", [
        "-c",
        CORE,
        Deno.execPath(),
        "run",
        "-A",
        "--no-check",
        new URL(import.meta.url).pathname,
        "--measure",
        path,
      ]),
    ) as Measured;
    megabytes = uncompressedBytes / 1e6;
    ours.push(indexMs);
    spans.push(...spanMs);
    const { ms } = await timed(() =>
      run("sh", [
        "-c",
        `taskset -c ${CORE} pigz -dc "$1" > /dev/null`,
        "sh",
        path,
      ])
    );
    theirs.push(ms);
  }
  return {
    label,
    megabytes,
    ours: megabytes / median(ours) * 1000,
    pigz: megabytes / median(theirs) * 1000,
    spanMs: median(spans),
    slowestSpanMs: Math.max(...spans),
  };
}

if (Deno.args[0] === "--measure") {
  console.log(JSON.stringify(await measure(Deno.args[1] as string)));
} else {
  printMachine();
  const inputs = [
    ["gzip -6", await makeInput("usr-lib.gzip.tar.gz", "gzip -6")],
    ["pigz", await makeInput("usr-lib.pigz.tar.gz", "pigz")],
  ] as const;
  const compared: Compared[] = [];
  for (const [label, path] of inputs) compared.push(await compare(label, path));
  printTable(
    `Inflate with checkpoints, one core, median of ${ROUNDS} rounds in turns (MB of tar)`,
    [
      "input",
      "MB",
      "GzipIndexer MB/s",
      "pigz -dc MB/s",
      "ratio",
      "ms per 4 MiB span",
      "slowest",
    ],
    compared.map(({ label, megabytes, ours, pigz, spanMs, slowestSpanMs }) => [
      label,
      megabytes.toFixed(0),
      ours.toFixed(0),
      pigz.toFixed(0),
      (ours / pigz).toFixed(2),
      spanMs.toFixed(2),
      slowestSpanMs.toFixed(2),
    ]),
  );
  const saved = saveResults("inflate", { rounds: ROUNDS, compared });
  await Deno.writeTextFile(
    saved.replace(/json$/, "svg"),
    chart({
      title: "Inflate with checkpoints beside pigz -dc, one core",
      unit: "MB of tar a second",
      groups: compared.map(({ label }) => `made by ${label}`),
      series: [
        { name: "GzipIndexer", values: compared.map(({ ours }) => ours) },
        { name: "pigz -dc", values: compared.map(({ pigz }) => pigz) },
      ],
    }),
  );
  console.log(`\nsaved: ${saved} and a chart beside it`);
}
