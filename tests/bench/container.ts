/**
 * `deno task bench:container`: what a program in a container notices of how its root file system is
 * made, when all data is on this machine: one image on overlayfs over unpacked layers, on soci-deno
 * with either face, and on the existing SOCI daemon where that can be had.
 *
 * - `find /usr -ls` of 48 000 files, with the kernel's caches dropped before, and once more;
 * - `import numpy, scipy, pandas`, with caches dropped, and once more in another container.
 *
 * Everything is read once before; on the way "as needed" only what the same programs read, so that most spans
 * are missing still. Rounds are in turns; the number of rounds is the argument (3 when not given), and names of
 * ways (`erofs`, `as-needed`, `fuse`, `existing`), with commas between, leave the others out.
 * @module
 */
import { dropCaches } from "../e2e/faults/stage.ts";
import { buildIndex, LazyHost } from "../e2e/host.ts";
import {
  type Containerd,
  ctrPull,
  ctrRun,
  leftovers,
  makeCertificateAuthority,
  startContainerd,
  startDockerRegistry,
} from "../support/host/mod.ts";
import { pushImage } from "../support/images/mod.ts";
import { nameLoopback, sociPeer, startSociPeer } from "../support/peer/mod.ts";
import { chart } from "./chart.ts";
import { debianImage } from "./debian_image.ts";
import { saveResults } from "./results.ts";
import { median, printMachine, printTable } from "./support.ts";

const NAME = "bench.soci-deno.test";
const FIND = `
import subprocess, time
def find():
    start = time.perf_counter()
    subprocess.run(["find", "/usr", "-ls"], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start
print(find(), find())
`;
const IMPORT = `
import time
start = time.perf_counter()
import numpy, scipy, pandas
print(time.perf_counter() - start)
`;
const READ_ALL = "find / -xdev -type f -exec cat {} + > /dev/null";

const MEASURES = [
  "find /usr -ls, first",
  "find /usr -ls, again",
  "import numpy, scipy, pandas, first",
  "import numpy, scipy, pandas, again",
] as const;
type Figures = Record<typeof MEASURES[number], number>;

/** One way of making the root file system, up and with all data here. */
interface Way {
  readonly name: string;
  readonly containerd: Containerd;
  readonly snapshotter: string;
  /** Whether only what is measured was read before, and not everything. */
  readonly asNeeded?: true;
}

/** Our ways, and how layers are shown there. */
const OURS = { erofs: "erofs", "as-needed": "erofs", fuse: "fuse" } as const;

let containers = 0;

async function inContainer(
  { containerd, snapshotter }: Way,
  image: string,
  ...args: string[]
): Promise<string> {
  const { code, stdout, stderr } = await ctrRun(containerd, {
    ...{ image, snapshotter, args, id: `bench-${containers++}` },
    timeoutMs: 600_000,
  });
  if (code !== 0) throw new Error(`${snapshotter}: ${stderr}`);
  return stdout;
}

/** Seconds of each measure. */
async function measure(way: Way, image: string): Promise<Figures> {
  const python = async (program: string) =>
    (await inContainer(way, image, "/usr/bin/python3", "-c", program))
      .trim().split(" ").map(Number);
  await dropCaches();
  const [findFirst, findAgain] = await python(FIND);
  await dropCaches();
  const [importFirst] = await python(IMPORT);
  const [importAgain] = await python(IMPORT);
  return {
    "find /usr -ls, first": findFirst!,
    "find /usr -ls, again": findAgain!,
    "import numpy, scipy, pandas, first": importFirst!,
    "import numpy, scipy, pandas, again": importAgain!,
  };
}

printMachine();
const rounds = Number(Deno.args[0] ?? 3);
const wanted = Deno.args[1]?.split(",") ?? [...Object.keys(OURS), "existing"];
await using stack = new AsyncDisposableStack();
const content = await debianImage();
// The existing daemon looks for indexes over HTTPS only.
const authority = stack.use(await makeCertificateAuthority());
const { certPath: caFile, certPem } = authority;
stack.use(nameLoopback(NAME));
const registry = stack.use(
  await startDockerRegistry({
    tls: await authority.issue(["127.0.0.1", NAME]),
  }),
);
const image = `${NAME}:${registry.port}/bench/science:1`;
await pushImage(registry.host, "bench/science:1", content, {
  scheme: "https",
  caCerts: [certPem],
});
await buildIndex("--min-layer-size", "0", "--tlscacert", caFile, image);

const ways: Way[] = [];
const overlay = stack.use(await startContainerd());
await ctrPull(overlay, image, { caPath: caFile });
ways.push({ name: "overlayfs", containerd: overlay, snapshotter: "overlayfs" });
for (const [name, face] of Object.entries(OURS)) {
  if (!wanted.includes(name)) continue;
  const host = stack.use(await LazyHost.start({ face, caFile }));
  await host.pull(image);
  ways.push({
    name: `soci-deno, ${name}`,
    containerd: host.containerd,
    snapshotter: "soci",
    ...(name === "as-needed" && { asNeeded: true }),
  });
}
const peer = wanted.includes("existing")
  ? await sociPeer()
  : { reason: "not wanted" };
if ("soci" in peer) {
  const daemon = stack.use(await startSociPeer(peer, { caFile }));
  const containerd = stack.use(
    await startContainerd({
      proxySnapshotters: [{ name: "soci", address: daemon.address }],
    }),
  );
  await daemon.soci(containerd, "image", "rpull", image);
  const mounts = leftovers(daemon.folder).mounts.length;
  if (mounts < content.layers.length) {
    throw new Error(`the existing daemon serves only ${mounts} layers`);
  }
  ways.push({ name: "SOCI 0.4.1", containerd, snapshotter: "soci" });
} else console.log(`without the existing SOCI tools: ${peer.reason}`);

for (const way of ways) {
  if (way.asNeeded) await measure(way, image);
  else await inContainer(way, image, "/bin/sh", "-c", READ_ALL);
}
const found = new Map(ways.map((way) => [way, [] as Figures[]]));
for (let round = 0; round < rounds; round++) {
  for (const way of ways) found.get(way)!.push(await measure(way, image));
}

const seconds = (way: Way, name: keyof Figures) =>
  median(found.get(way)!.map((figures) => figures[name]));
const ratio = (way: Way, name: keyof Figures) =>
  seconds(way, name) / seconds(ways[0]!, name);
printTable(
  `In a container, all data here, median of ${rounds} rounds in turns: seconds (times overlayfs)`,
  ["", ...MEASURES],
  ways.map((way) => [
    way.name,
    ...MEASURES.map((name) =>
      `${seconds(way, name).toFixed(3)} (${ratio(way, name).toFixed(2)})`
    ),
  ]),
);
const saved = saveResults("container", {
  rounds,
  figures: Object.fromEntries(ways.map((way) => [way.name, found.get(way)])),
});
await Deno.writeTextFile(
  saved.replace(/json$/, "svg"),
  chart({
    title: "What a container notices, all data here",
    unit: "times overlayfs over unpacked layers",
    groups: MEASURES,
    series: ways.map((way) => ({
      name: way.name,
      values: MEASURES.map((name) => ratio(way, name)),
    })),
    line: 1,
  }),
);
console.log(`\nsaved: ${saved} and a chart beside it`);
