/** What is measured beside starts: many small layers, one large one, and the programs in a container. @module */
import { dropCaches } from "../../e2e/faults/stage.ts";
import { ctrRun, pause } from "../../support/host/mod.ts";
import {
  addBusybox,
  type Image,
  layerBlob,
  makeImage,
  TarBuilder,
} from "../../support/images/mod.ts";
import { JOB } from "../coldstart/measure.ts";
import { type Node, sociDenoNode } from "../coldstart/nodes.ts";
import type { BenchRegistry } from "../coldstart/registry.ts";
import { hostLayer } from "../image.ts";
import { cacheFolder, run, someFiles, timed } from "../support.ts";
import { type Sample, WAY } from "./samples.ts";
import { INDEXED, type Way } from "./ways.ts";

const LAYERS = 128;
const SETTLE_MS = 1500;

/** 128 layers of a few bytes: their pull, by each way. */
export async function measureSmall(
  registry: BenchRegistry,
  ways: readonly Way[],
): Promise<Sample[]> {
  const image = await registry.push("eager/small", manyLayers, {
    index: false,
  });
  const samples: Sample[] = [];
  for (const way of ways) {
    await using stack = new AsyncDisposableStack();
    const node = await way.node(stack, registry.authority.certPath);
    samples.push({
      ...{ measure: "small", subject: `${LAYERS} layers`, way: way.name },
      value: await pullSeconds(node, image),
    });
  }
  return samples;
}

async function pullSeconds(node: Node, image: string): Promise<number> {
  await pause(SETTLE_MS);
  await dropCaches(); // ext4 looks at each inode in them that was removed of late, for every new file
  return (await timed(() => node.pull(image))).ms / 1000;
}

function manyLayers(): Promise<Image> {
  const small = Array.from(
    { length: LAYERS - 1 },
    (_, i) => layerBlob(new TarBuilder().file(`file-${i}`, `text ${i}`)),
  );
  return Promise.resolve(
    makeImage({ layers: [layerBlob(addBusybox(new TarBuilder())), ...small] }),
  );
}

/**
 * One layer with an index: its pull on one core and on two. The registry has the same cores as the daemon, or one core
 * would have a second one to help it; for comparison it also has one of its own.
 */
export async function measureLarge(
  registry: BenchRegistry,
  megabytes: number,
): Promise<Sample[]> {
  const image = await registry.push(
    `eager/large-${megabytes}`,
    () => largeImage(megabytes),
    { index: true },
  );
  const samples: Sample[] = [];
  const pinRegistry = (cores: string) =>
    run("taskset", ["--all-tasks", "-cp", cores, `${registry.pid}`]);
  await using unpinned = new AsyncDisposableStack();
  unpinned.defer(() =>
    pinRegistry(`0-${navigator.hardwareConcurrency - 1}`).then(() => {})
  );
  for (
    const [way, cores, ofRegistry] of [
      [WAY.oneCore, "0", "0"],
      [WAY.oneCoreAlone, "0", "1"],
      [WAY.ours, "0,1", "0,1"],
    ] as const
  ) {
    await using stack = new AsyncDisposableStack();
    await pinRegistry(ofRegistry);
    const prefix = ["taskset", "-c", cores];
    const caFile = registry.authority.certPath;
    const node = await sociDenoNode(stack, caFile, INDEXED, prefix);
    samples.push({
      ...{ measure: "large", subject: `${megabytes} MB of tar`, way },
      value: await pullSeconds(node, image),
    });
  }
  return samples;
}

/** Files of the cold-start images. */
async function largeImage(megabytes: number): Promise<Image> {
  const roots = `${cacheFolder()}/coldstart/layers`;
  const folders = [...Deno.readDirSync(roots)]
    .filter(({ name, isDirectory }) => isDirectory && !name.endsWith(".debs"))
    .map(({ name }) => name).sort();
  const files: string[] = [];
  let left = megabytes * 1e6;
  for (const folder of folders) {
    if (left <= 0) break;
    const some = someFiles(`${roots}/${folder}`, left);
    left -= some.reduce((sum, path) => sum + Deno.lstatSync(path).size, 0);
    files.push(...some);
  }
  if (left > 0) {
    throw new Error(`${roots} lacks ${left} bytes: bench:coldstart --prepare`);
  }
  return makeImage({
    layers: [
      layerBlob(addBusybox(new TarBuilder())),
      await hostLayer(`${cacheFolder()}/large-${megabytes}`, files),
    ],
  });
}

/** Programs that are timed in the image `python`. */
const INSIDE = {
  "find /usr": ["find", "/usr", "-ls"],
  "imports": ["python3", "/app/other.py"],
  "80 % of all files read": ["/bin/sh", "-c", JOB],
} as const;

const TIMER = `import subprocess, sys, time
start = time.perf_counter()
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
print("took", time.perf_counter() - start)
`;

/** Programs in an image that is here, by each way in turns. */
export async function measureInside(
  registry: BenchRegistry,
  image: string,
  { ways, rounds }: { ways: readonly Way[]; rounds: number },
): Promise<Sample[]> {
  await using stack = new AsyncDisposableStack();
  const nodes = new Map<Way, Node>();
  for (const way of ways) {
    const node = await way.node(stack, registry.authority.certPath);
    await node.pull(image);
    nodes.set(way, node);
  }
  const samples: Sample[] = [];
  for (let round = 0; round < rounds; round++) {
    for (const [subject, args] of Object.entries(INSIDE)) {
      for (const [way, node] of nodes) {
        const value = await secondsInside(node, image, args);
        samples.push({ measure: "inside", subject, way: way.name, value });
      }
    }
  }
  return samples;
}

async function secondsInside(
  { containerd, snapshotter }: Node,
  image: string,
  args: readonly string[],
): Promise<number> {
  await dropCaches();
  const { code, stdout, stderr } = await ctrRun(containerd, {
    ...{ image, snapshotter, id: `inside-${crypto.randomUUID()}` },
    args: ["python3", "-c", TIMER, ...args],
    timeoutMs: 300_000,
  });
  const took = /took ([\d.]+)/.exec(stdout)?.[1];
  if (code !== 0 || took === undefined) throw new Error(stderr);
  return Number(took);
}
