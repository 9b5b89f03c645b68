/**
 * `deno task soak [minutes]`: a mixed load for so long (10 minutes by default), and what it does to the
 * daemon: memory, descriptors, mounts, slots, disk. Every image is a new one: it is pushed, indexed,
 * pulled, run, read, removed; in between the daemon is stopped, killed and taken over.
 *
 * Prints a table, writes `tests/bench/results/soak.json` and `soak.svg`, and fails when a container saw
 * a wrong byte or something is left over or grows.
 * @module
 */
import { sha256 } from "../../lib/formats/oci/mod.ts";
import { buildIndex, LazyHost } from "../e2e/host.ts";
import { ctrRun, leftovers, pause, run } from "../support/host/mod.ts";
import {
  addBusybox,
  incompressible,
  layerBlob,
  makeImage,
  pushImage,
  TarBuilder,
} from "../support/images/mod.ts";
import { startRegistry, type TestRegistry } from "../support/registry/mod.ts";
import { lineCharts } from "./soak_chart.ts";

const RESULTS = new URL("../bench/results/", import.meta.url).pathname;
const CONFIG = `
[pull_modes.soci_v1]
enable = true
[background_fetch]
silence_period_msec = 500
`;
/** Images that are there at a time. */
const KEPT = 3;
const FILES = 6;
const SAMPLE_MS = 5_000;
/** The daemon is restarted so often in the whole run. */
const RESTARTS = 3;
/** What may come and go, by column; more in the last third than in the first is growth. */
const SLACK = {
  rssMiB: 40,
  descriptors: 12,
  mounts: 12,
  slots: 4,
  diskMiB: 20,
};

/** As the chart says it. */
const TITLES = {
  rssMiB: "memory, MiB",
  descriptors: "descriptors",
  mounts: "mounts",
  slots: "layers kept",
  diskMiB: "disk, MiB",
} as const satisfies Record<keyof typeof SLACK, string>;

type Figures = Record<keyof typeof SLACK, number>;
interface Sample extends Figures {
  readonly seconds: number;
  readonly cycles: number;
}

const minutes = Number(Deno.args[0] ?? 10);
if (!(minutes > 0)) {
  console.error("usage: deno task soak [minutes]");
  Deno.exit(2);
}

/** A new image in the registry, and the digests of its files. */
async function publish(registry: TestRegistry, number: number) {
  const tar = addBusybox(new TarBuilder().file("number", String(number)))
    .dir("data");
  const digests: string[] = [];
  for (let i = 0; i < FILES; i++) {
    const bytes = incompressible(200_000 + number % 1000, number * FILES + i);
    new DataView(bytes.buffer).setUint32(0, number);
    digests.push(sha256(bytes).slice("sha256:".length));
    tar.file(`data/${i}`, bytes);
  }
  const layers = [layerBlob(tar)];
  const name = `soak-${number}:1`;
  await pushImage(
    registry.host,
    name,
    makeImage({ layers, config: { cmd: ["/bin/sh"] } }),
  );
  const image = `${registry.host}/${name}`;
  await buildIndex("--min-layer-size", "0", "--span-size", "64KiB", image);
  return { image, digests };
}

async function figures(host: LazyHost): Promise<Figures> {
  const status = await Deno.readTextFile(`/proc/${host.pid}/status`);
  const { stdout } = await run("du", ["-skx", host.root]);
  return {
    rssMiB: Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024),
    descriptors: [...Deno.readDirSync(`/proc/${host.pid}/fd`)].length,
    mounts: leftovers(host.root).mounts.length,
    slots: [...Deno.readDirSync(`${host.root}/layers`)].length,
    diskMiB: Math.round(Number(stdout.split("\t")[0]) / 102.4) / 10,
  };
}

const problems: string[] = [];
const samples: Sample[] = [];
const restarts: number[] = [];
await using registry = startRegistry();
await using host = await LazyHost.start({ config: CONFIG });
const out = await Deno.makeTempDir({ prefix: "soci-deno-soak-" });
const started = performance.now();
const seconds = () => Math.round((performance.now() - started) / 1000);
let cycles = 0;
let containers = 0;

async function check(
  { image, digests }: Awaited<ReturnType<typeof publish>>,
): Promise<void> {
  const id = `soak-${crypto.randomUUID()}`;
  // By a file: on a busy machine what a container prints was empty now and then, with exit code 0.
  const { code, stderr } = await ctrRun(host.containerd, {
    image,
    id,
    snapshotter: "soci",
    flags: ["--mount", `type=bind,src=${out},dst=/out,options=rbind:rw`],
    args: [
      "/bin/busybox",
      "sh",
      "-c",
      `/bin/busybox sha256sum /data/* > /out/${id}`,
    ],
  });
  containers++;
  const text = await Deno.readTextFile(`${out}/${id}`).catch(() => "");
  const found = text.trim().split("\n").map((line) => line.split(" ")[0]);
  if (found.join() !== digests.join()) {
    const told = host.logs().split("\n")
      .filter((line) => /"level":"(warn|error)/.test(line)).slice(-5);
    problems.push(
      [
        `${image}, exit code ${code} after ${seconds()} s: ${
          stderr || JSON.stringify(text)
        }`,
        ...told,
      ].join("\n  "),
    );
  }
}

const RESTART = [
  async () => {
    await host.stopDaemon();
    await host.startDaemon();
  },
  () => host.takeOver(),
  async () => {
    await host.killDaemon();
    await host.startDaemon();
  },
];

const lasts = minutes * 60;
let nextSample = 0;
const images: Awaited<ReturnType<typeof publish>>[] = [];
while (seconds() < lasts && problems.length < 10) {
  const next = await publish(registry, cycles);
  await host.pull(next.image);
  images.push(next);
  await Promise.all(images.map(check));
  if (images.length > KEPT) {
    const oldest = images.shift()!;
    await host.containerd.ctr("images", "rm", "--sync", oldest.image);
  }
  cycles++;
  if (seconds() * 1000 >= nextSample) {
    samples.push({ seconds: seconds(), cycles, ...await figures(host) });
    nextSample += SAMPLE_MS;
  }
  if (seconds() > lasts * (restarts.length + 1) / (RESTARTS + 1)) {
    await RESTART[restarts.length % RESTART.length]!();
    await host.reconnected();
    restarts.push(seconds());
  }
}
const lastLoaded = samples.at(-1)!;
await host.removeImages(...images.map(({ image }) => image));
await pause(3000); // what is closed behind the removal
const empty = await figures(host);
samples.push({ seconds: seconds(), cycles, ...empty });
if (empty.slots > 0) problems.push(`${empty.slots} slots are left over`);

/** Each life of the daemon begins small: compared are the ends of the first and the last third. */
const third = Math.floor(samples.length / 3);
const worst = (part: readonly Sample[], column: keyof Figures) =>
  Math.max(...part.map((sample) => sample[column]));
for (const column of Object.keys(SLACK) as (keyof Figures)[]) {
  const before = worst(samples.slice(0, third), column);
  const after = worst(samples.slice(-third - 1), column);
  if (after > before + SLACK[column]) {
    problems.push(`${column} grows: ${before}, then ${after}`);
  }
}

const columns = [
  "seconds",
  "cycles",
  ...Object.keys(SLACK),
] as (keyof Sample)[];
const every = Math.max(1, Math.floor(samples.length / 16));
console.log(
  `| ${columns.join(" | ")} |\n|${columns.map(() => " ---: |").join("")}`,
);
for (
  const sample of samples.filter((_, i) =>
    i % every === 0 || i === samples.length - 1
  )
) {
  console.log(`| ${columns.map((column) => sample[column]).join(" | ")} |`);
}
console.log(
  `${cycles} images and ${containers} containers in ${seconds()} s, ${restarts.length} restarts; ` +
    `loaded at the end: ${lastLoaded.rssMiB} MiB, ${lastLoaded.descriptors} descriptors`,
);
await Deno.mkdir(RESULTS, { recursive: true });
await Deno.writeTextFile(
  `${RESULTS}/soak.json`,
  `${
    JSON.stringify({ minutes, cycles, containers, restarts, samples }, null, 1)
  }\n`,
);
await Deno.writeTextFile(
  `${RESULTS}/soak.svg`,
  lineCharts({
    title:
      `${minutes} minutes of mixed load, ${cycles} images; dashed: the daemon is restarted`,
    x: samples.map((sample) => sample.seconds),
    marks: restarts,
    series: (Object.keys(SLACK) as (keyof Figures)[]).map((name) => ({
      name: TITLES[name],
      values: samples.map((sample) => sample[name]),
    })),
  }),
);
await Deno.remove(out, { recursive: true });
for (const problem of problems) console.log(problem);
Deno.exitCode = problems.length === 0 ? 0 : 1;
