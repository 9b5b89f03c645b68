/**
 * `deno task bench:eager`: an image without an index, from the pull to the first program that has run, and its removal:
 * containerd's overlayfs, `soci-deno pull` that leaves it to containerd, and the daemon that takes it whole. Over
 * loopback, in turns.
 *
 * - `science`: Debian packages, some 600 MB of tar in three layers;
 * - `layers`: 128 layers of a few kB, of which only the pull is measured.
 *
 * The argument is the number of rounds (3 when not given).
 * @module
 */
import { dropCaches } from "../e2e/faults/stage.ts";
import { LazyHost } from "../e2e/host.ts";
import {
  type Containerd,
  ctrPull,
  ctrRun,
  startContainerd,
} from "../support/host/mod.ts";
import {
  addBusybox,
  type Image,
  layerBlob,
  makeImage,
  pushImage,
  TarBuilder,
} from "../support/images/mod.ts";
import { startRegistry } from "../support/registry/mod.ts";
import { debianImage } from "./debian_image.ts";
import { saveResults } from "./results.ts";
import { median, printMachine, printTable, timed } from "./support.ts";

const EAGER = `
[eager]
unindexed = ["**"]
`;
const LAYERS = 128;

interface Way {
  readonly name: string;
  readonly containerd: Containerd;
  readonly snapshotter: string;
  pull(image: string): Promise<unknown>;
}

interface Figures {
  /** Seconds. */
  readonly pull: number;
  /** Of pull and first program. */
  readonly start: number;
  readonly remove: number;
  /** MB that the disk took meanwhile. */
  readonly written: number;
}

/** Sectors of 512 bytes that all disks took. */
function sectorsWritten(): number {
  return Deno.readTextFileSync("/proc/diskstats").trim().split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , name]) => /^(vd[a-z]|sd[a-z]|nvme\d+n\d+)$/.test(name ?? ""))
    .reduce((sum, fields) => sum + Number(fields[9]), 0);
}

let containers = 0;

async function measure(
  { containerd, snapshotter, pull }: Way,
  image: string,
  args: readonly string[],
): Promise<Figures> {
  await dropCaches();
  const before = sectorsWritten();
  const pulled = await timed(() => pull(image));
  const ran = await timed(() =>
    ctrRun(containerd, {
      ...{ image, snapshotter, args, id: `eager-${containers++}` },
      timeoutMs: 600_000,
    })
  );
  if (ran.value.code !== 0) throw new Error(ran.value.stderr);
  const removed = await timed(() =>
    containerd.ctr("images", "rm", "--sync", image)
  );
  await new Deno.Command("sync").output();
  return {
    pull: pulled.ms / 1000,
    start: (pulled.ms + ran.ms) / 1000,
    remove: removed.ms / 1000,
    written: (sectorsWritten() - before) * 512 / 1e6,
  };
}

printMachine();
const rounds = Number(Deno.args[0] ?? 3);
await using stack = new AsyncDisposableStack();
const registry = stack.use(startRegistry());
const images: Record<string, { content: Image; args: readonly string[] }> = {
  science: {
    content: await debianImage(),
    args: ["/usr/bin/python3", "-c", "import numpy; print(1)"],
  },
  layers: {
    content: makeImage({
      layers: [
        layerBlob(addBusybox(new TarBuilder())),
        ...Array.from(
          { length: LAYERS - 1 },
          (_, i) => layerBlob(new TarBuilder().file(`file-${i}`, `text ${i}`)),
        ),
      ],
    }),
    args: ["/bin/busybox", "true"],
  },
};
for (const [name, { content }] of Object.entries(images)) {
  await pushImage(registry.host, `${name}:1`, content);
}
const overlay = stack.use(await startContainerd());
const ways: Way[] = [{
  name: "overlayfs, ctr pull",
  containerd: overlay,
  snapshotter: "overlayfs",
  pull: (image) => ctrPull(overlay, image),
}];
for (
  const [name, config] of [["left to containerd", ""], [
    "taken whole",
    EAGER,
  ]] as const
) {
  const host = stack.use(await LazyHost.start({ config }));
  ways.push({
    name: `soci-deno pull, ${name}`,
    containerd: host.containerd,
    snapshotter: "soci",
    pull: (image) => host.pull(image),
  });
}
const results: Record<string, Record<string, Figures[]>> = {};
for (const [name, { args }] of Object.entries(images)) {
  const found: Record<string, Figures[]> = {};
  for (let round = 0; round < rounds; round++) {
    for (const way of ways) {
      (found[way.name] ??= []).push(
        await measure(way, `${registry.host}/${name}:1`, args),
      );
    }
  }
  const middle = (way: Way, of: keyof Figures) =>
    median(found[way.name]!.map((figures) => figures[of]));
  printTable(
    `${name}: median of ${rounds} rounds in turns`,
    ["", "pull, s", "to first run, s", "times", "removal, s", "written, MB"],
    ways.map((way) => [
      way.name,
      middle(way, "pull").toFixed(2),
      middle(way, "start").toFixed(2),
      (middle(way, "start") / middle(ways[0]!, "start")).toFixed(2),
      middle(way, "remove").toFixed(2),
      middle(way, "written").toFixed(0),
    ]),
  );
  results[name] = found;
}
console.log(`\nsaved: ${saveResults("eager", { rounds, results })}`);
