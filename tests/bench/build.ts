/**
 * `deno task bench:build`: how fast an index is built, and in how much memory, of a real image of
 * more than 100 MB.
 *
 * - one layer on one core (inflate, tar walk, checkpoints, digests) against `pigz -dc` of it;
 * - two layers on two cores against one on one core;
 * - the whole image from a registry, with everything pushed back, against `soci create` of the
 *   existing tools, which has the image in containerd's content store and pushes nothing;
 * - one layer of 10 GB of tar on one core, where no start counts, against `pigz -dc`, with its memory;
 *   and one of 200 000 small files.
 *
 * Each of ours runs in a process of its own, this file called with `--measure`, so that `taskset` can
 * bind it to a core. What is timed there is the work, the start of the Workers included. Beside the
 * clock there is the processor time of each process, from its start: on a machine that is busy with
 * other things the clock says little.
 * @module
 */
import process from "node:process";
import { LayerIndexer } from "../../lib/layers/builder/mod.ts";
import {
  ctrPull,
  sociDenoCommand,
  startContainerd,
  startDockerRegistry,
} from "../support/host/mod.ts";
import { decodeZtoc } from "../../lib/formats/ztoc/mod.ts";
import { layerBlob, pushImage, TarBuilder } from "../support/images/mod.ts";
import { sociPeer, startSociPeer } from "../support/peer/mod.ts";
import { benchImage } from "./image.ts";
import { saveResults } from "./results.ts";
import {
  cacheFolder,
  median,
  printMachine,
  printTable,
  run,
  timed,
} from "./support.ts";

const ROUNDS = 3;
const SPAN_BYTES = 4 * 2 ** 20;
const READ_BYTES = 256 * 1024;
const LARGE_BYTES = 10e9;
const PEER_ROOT = "/var/lib/soci-snapshotter-grpc";

interface Measured {
  readonly ms: number;
  /** Processor time of all threads, which holds still while other work goes on beside. */
  readonly cpuMs: number;
  /** Bytes of all tars. */
  readonly tarBytes: number;
  /** Most resident memory the process had, MB. */
  readonly peakMb: number;
}

/** What a process took, milliseconds. */
interface Spent {
  readonly ms: number;
  readonly cpuMs: number;
}

const options = {
  compression: "gzip",
  spanSizeBytes: SPAN_BYTES,
  buildTool: "bench",
  diffId: "skip",
} as const;

function peakMb(status: string): number {
  return Number(status.match(/VmHWM:\s+(\d+)/)?.[1] ?? 0) * 1024 / 1e6;
}

/** A file in pieces, read again `times` times. */
async function* pieces(path: string, times = 1): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < times; i++) {
    using file = await Deno.open(path);
    for (;;) {
      const piece = new Uint8Array(READ_BYTES);
      const count = await file.read(piece);
      if (count === null) break;
      yield count === piece.length ? piece : piece.slice(0, count);
    }
  }
}

async function indexOne(source: AsyncIterable<Uint8Array>): Promise<number> {
  using indexer = new LayerIndexer();
  const layer = await indexer.index(ReadableStream.from(source), options);
  return layer.uncompressedSizeBytes;
}

/** A layer that holds one file: some layer's tar over and over. */
async function* largeLayer(path: string, tarBytes: number) {
  const times = Math.ceil(LARGE_BYTES / tarBytes);
  const header = new TarBuilder().file("large", new Uint8Array(1)).finish()
    .slice(0, 512);
  // The size in base 256, and the checksum anew: no such file need be in memory.
  const view = new DataView(header.buffer);
  header.fill(0, 124, 136);
  header[124] = 0x80;
  view.setBigUint64(128, BigInt(times * tarBytes));
  header.fill(0x20, 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  new TextEncoder().encodeInto(
    `${sum.toString(8).padStart(6, "0")}\0 `,
    header.subarray(148),
  );
  yield layerBlob(header).bytes;
  yield* pieces(path, times);
  yield layerBlob(new Uint8Array(1024)).bytes;
}

/** A tar of small files, as of a JavaScript project. */
function manyFiles(count: number): Uint8Array {
  const tar = new TarBuilder();
  for (let i = 0; i < count; i++) {
    const folder = `app/node_modules/package-${Math.floor(i / 100)}`;
    if (i % 100 === 0) tar.dir(folder);
    tar.file(`${folder}/dist/file-${i}.js`, "x", {
      mtime: { seconds: 1_600_000_000 + i, nanos: 0 },
    });
  }
  return layerBlob(tar).bytes;
}

/** Milliseconds to index a layer of so many files in a Worker, and to read its ztoc. */
async function measureFiles(count: number) {
  const layer = manyFiles(count);
  using indexer = new LayerIndexer();
  const index = () =>
    indexer.index(ReadableStream.from([layer.slice()]), options);
  const { ms, value } = await timed(index);
  const read = await timed(() => decodeZtoc(value.ztoc).entries.length);
  return { ms, readMs: read.ms, entries: read.value };
}

async function measure(what: string, args: string[]): Promise<Measured> {
  const { ms, value } = await timed(() =>
    what === "large"
      ? indexOne(largeLayer(args[0]!, Number(args[1])))
      : Promise.all(args.map((path) => indexOne(pieces(path))))
        .then((sizes) => sizes.reduce((sum, size) => sum + size, 0))
  );
  const status = await Deno.readTextFile("/proc/self/status");
  const { user, system } = process.cpuUsage();
  const cpuMs = (user + system) / 1000;
  return { ms, cpuMs, tarBytes: value, peakMb: peakMb(status) };
}

/** Measures in a process of its own, on the given cores. */
async function child(
  cores: string,
  what: string,
  ...args: string[]
): Promise<Measured> {
  const script = new URL(import.meta.url).pathname;
  return JSON.parse(
    await run("taskset", [
      ...["-c", cores, Deno.execPath(), "run", "-A", "--no-check"],
      ...[script, "--measure", what, ...args],
    ]),
  );
}

const speed = (bytes: number, ms: number) => (bytes / 1e3 / ms).toFixed(0);
const medians = (all: readonly Spent[]): Spent => ({
  ms: median(all.map(({ ms }) => ms)),
  cpuMs: median(all.map(({ cpuMs }) => cpuMs)),
});

/** @returns bytes of tar that `pigz -dc` gives a ms on one core. */
async function layers(path: string): Promise<number> {
  const one: Measured[] = [];
  const two: Measured[] = [];
  const both: Measured[] = [];
  const theirs: Spent[] = [];
  await Deno.readFile(path); // into the page cache
  for (let round = 0; round < ROUNDS; round++) {
    one.push(await child("1", "layers", path));
    theirs.push(
      await spent("taskset", ["-c", "1", "pigz", "-dc", path]),
    );
    two.push(await child("0,1", "layers", path, path));
    both.push(await child("0,1", "layers", path));
  }
  const { tarBytes } = one[0]!;
  const pigz = medians(theirs);
  const row = (label: string, measured: Measured[], against: Spent) => {
    const { ms, cpuMs } = medians(measured);
    const times = measured[0]!.tarBytes / tarBytes;
    return [
      label,
      (times * tarBytes / 1e6).toFixed(0),
      speed(times * tarBytes, ms),
      (against.ms / ms * times).toFixed(2),
      (cpuMs / 1000).toFixed(2),
      (against.cpuMs / cpuMs * times).toFixed(2),
      Math.max(...measured.map(({ peakMb }) => peakMb)).toFixed(0),
    ];
  };
  table(
    `Index of one layer, median of ${ROUNDS} rounds in turns (MB of tar; Workers' start included)`,
    ["", "MB", "MB/s", "ratio", "CPU s", "by CPU", "peak RSS MB"],
    [
      [
        "pigz -dc, one core",
        (tarBytes / 1e6).toFixed(0),
        speed(tarBytes, pigz.ms),
        "1.00",
        (pigz.cpuMs / 1000).toFixed(2),
        "1.00",
        "",
      ],
      row("one layer on one core (ratio: pigz)", one, pigz),
      row("two layers on two cores (ratio: one on one)", two, medians(one)),
      row(
        "one layer, two cores to use (ratio: one on one)",
        both,
        medians(one),
      ),
    ],
  );
  return tarBytes / pigz.ms;
}

/** Runs a command, its output dropped; the shell tells the processor time of all its processes. */
async function spent(
  program: string,
  args: readonly string[],
): Promise<Spent & { peakMb: number }> {
  const script = 'TIMEFORMAT="%U %S"; { time "$@" > /dev/null 2>&3; } 3> "$0"';
  const errors = await Deno.makeTempFile();
  const start = performance.now();
  const child = new Deno.Command("bash", {
    args: ["-c", script, errors, program, ...args],
    stdout: "null",
    stderr: "piped",
  }).spawn();
  let peak = 0;
  const timer = setInterval(() => {
    try {
      const { pid } = child;
      const [first] = Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`)
        .split(" ");
      peak = peakMb(Deno.readTextFileSync(`/proc/${first}/status`)) || peak;
    } catch {
      // it has not begun, or has just ended
    }
  }, 10);
  const { code, stderr } = await child.output();
  clearInterval(timer);
  const ms = performance.now() - start;
  const said = await Deno.readTextFile(errors);
  await Deno.remove(errors);
  if (code !== 0) throw new Error(`${program} ended with ${code}: ${said}`);
  const [user, system] = new TextDecoder().decode(stderr).trim().split(" ")
    .map(Number);
  return { ms, cpuMs: (user! + system!) * 1000, peakMb: peak };
}

async function wholeImage(): Promise<void> {
  const image = await benchImage();
  await using registry = await startDockerRegistry();
  const name = `${registry.host}/bench/build:1`;
  await pushImage(registry.host, "bench/build:1", image);
  const found = await sociPeer();
  const peer = "soci" in found ? found : null;
  if (peer === null) console.log("no peer here: it is not measured");
  await using daemon = peer === null ? null : await startSociPeer(peer);
  await using containerd = await startContainerd();
  await ctrPull(containerd, name);
  const ours: (Spent & { peakMb: number })[] = [];
  const fromContainerd: (Spent & { peakMb: number })[] = [];
  const theirs: Spent[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const build = async (...from: string[]) => {
      const { program, args } = sociDenoCommand(
        ...["build-index", "--plain-http", "--force", "--min-layer-size", "0"],
        ...[...from, name],
      );
      return await spent(program, args);
    };
    ours.push(await build());
    fromContainerd.push(
      await build("--from", "containerd", "--address", containerd.address),
    );
    if (peer === null || daemon === null) continue;
    // Its command line keeps its artifacts in one fixed place.
    theirs.push(
      await spent("unshare", [
        ...["--mount", "sh", "-ec", 'mount --bind "$0" "$1"; shift; exec "$@"'],
        ...[`${daemon.folder}/cli`, PEER_ROOT, peer.soci],
        ...["--address", containerd.address, "create"],
        ...["--min-layer-size", "0", name],
      ]),
    );
  }
  const tarBytes = image.layers.reduce((sum, { tarSize }) => sum + tarSize, 0);
  const peers = theirs.length > 0 ? medians(theirs) : null;
  const row = (label: string, all: (Spent & { peakMb: number })[]) => {
    const mine = medians(all);
    return [
      label,
      (mine.ms / 1000).toFixed(2),
      speed(tarBytes, mine.ms),
      peers === null ? "" : (peers.ms / mine.ms).toFixed(2),
      (mine.cpuMs / 1000).toFixed(2),
      peers === null ? "" : (peers.cpuMs / mine.cpuMs).toFixed(2),
      Math.max(...all.map(({ peakMb }) => peakMb)).toFixed(0),
    ];
  };
  const rows = [
    row("soci-deno build-index (registry to registry)", ours),
    row("the same, layers from containerd's store", fromContainerd),
  ];
  if (peers !== null) {
    rows.unshift([
      "soci create (from containerd's store)",
      (peers.ms / 1000).toFixed(2),
      speed(tarBytes, peers.ms),
      "1.00",
      (peers.cpuMs / 1000).toFixed(2),
      "1.00",
      "",
    ]);
  }
  table(
    `Index of an image of ${image.layers.length} layers, median of ${ROUNDS} rounds in turns`,
    [
      ...["", "seconds", "MB/s of tar", "times faster", "CPU s", "by CPU"],
      "peak RSS MB",
    ],
    rows,
  );
}

async function largest(): Promise<{ path: string; tarBytes: number }> {
  const { layers } = await benchImage(); // makes the files
  const tarBytes = Math.max(...layers.map(({ tarSize }) => tarSize));
  return { path: `${cacheFolder()}/image/libraries.tar.gz`, tarBytes };
}

/** All that was printed, for the results file. */
const tables: { title: string; head: string[]; rows: string[][] }[] = [];

function table(title: string, head: string[], rows: string[][]): void {
  printTable(title, head, rows);
  tables.push({ title, head, rows });
}

if (Deno.args[0] === "--measure") {
  const [, what, ...args] = Deno.args;
  console.log(JSON.stringify(await measure(what!, args)));
} else {
  printMachine();
  const { path, tarBytes } = await largest();
  const pigzBytesPerMs = await layers(path);
  await wholeImage();
  const large = await child("1", "large", path, String(tarBytes));
  table("One layer of 10 GB of tar, on one core", [
    ...["", "MB", "MB/s", "ratio", "peak RSS MB"],
  ], [[
    "one Worker (ratio: pigz -dc)",
    (large.tarBytes / 1e6).toFixed(0),
    speed(large.tarBytes, large.ms),
    (large.tarBytes / large.ms / pigzBytesPerMs).toFixed(2),
    large.peakMb.toFixed(0),
  ]]);
  const { ms, readMs, entries } = await measureFiles(200_000);
  table("One layer of many files", [
    ...["", "entries", "index ms", "read ztoc ms"],
  ], [[
    "one Worker, its start included",
    String(entries),
    ms.toFixed(0),
    readMs.toFixed(0),
  ]]);
  console.log(`\nsaved: ${saveResults("build", { rounds: ROUNDS, tables })}`);
}
