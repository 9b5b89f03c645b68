/**
 * `deno task bench:merged`: would one EROFS image of all layers beat one image a layer?
 *
 * - 50 000 files in 32 layers, shown by EROFS, with overlayfs on top as containers have it: once over
 *   the 32 mounts, once over a single mount of a layer that holds all files. Metadata only, in turns;
 *   cold: the kernel has forgotten everything. A directory's files lie in three layers, as after updates.
 * - What the page cache holds of a file that two images share: with an image a layer both have the
 *   layer's mount; merged, each has a mount of its own that reads the same blob.
 *
 * `--rounds N` does less or more, `--layers N` takes another number of layers.
 * @module
 */
import { mountHelperArguments } from "../../cmd/program.ts";
import { parseArgs } from "node:util";
import { OverlayMount } from "../../lib/host/mounting/mod.ts";
import { LayerTree } from "../../lib/layers/tree/mod.ts";
import { compileTree } from "../../lib/layers/compiler/mod.ts";
import { LayerFileSystem } from "../../lib/layers/fs/mod.ts";
import { MountHelper, MS } from "../../lib/host/mounting/mod.ts";
import type { ZtocEntry } from "../../lib/formats/ztoc/mod.ts";
import { chart } from "./chart.ts";
import { DIRECTORIES, FILES_PER_DIRECTORY, tarEntry } from "./fuse_layer.ts";
import { saveResults } from "./results.ts";
import { median, printMachine, printTable, run, timed } from "./support.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    layers: { type: "string", default: "32" },
  },
});
const LAYERS = Number(values.layers);
const SHARED_SLOT = 100;
const SHARED_BYTES = 64 * 2 ** 20;
const MERGED_SLOT = LAYERS + 1;
const MEASURES = ["find", "stat"] as const;
const STATES = ["cold", "warm"] as const;
const WAYS = [`${LAYERS} images`, "merged"] as const;

/** The files of one layer; of all when none is said. */
function entriesOf(layer?: number): ZtocEntry[] {
  const entries: ZtocEntry[] = [];
  for (let d = 0; d < DIRECTORIES; d++) {
    const files = [];
    for (let f = 0; f < FILES_PER_DIRECTORY; f++) {
      const home = (d + (f < 2 ? f + 1 : 0)) % LAYERS;
      if (layer === undefined || home === layer) files.push(f);
    }
    if (files.length === 0) continue;
    entries.push(tarEntry(`d${d}/`, { type: "dir" }));
    for (const f of files) {
      entries.push(tarEntry(`d${d}/f${f}`, { type: "reg" }));
    }
  }
  return entries;
}

interface Shown {
  readonly directories: readonly string[];
  readonly ms: number;
}

/** Shows layers, one after another as a pull does. */
async function show(
  system: LayerFileSystem,
  folder: string,
  layers: readonly { slot: number; entries: ZtocEntry[] }[],
): Promise<Shown> {
  const trees = layers.map(({ slot, entries }) => {
    const bytes = compileTree({ entries, spanStarts: [0], dataSize: 512 });
    Deno.mkdirSync(`${folder}/${slot}`, { recursive: true });
    Deno.writeFileSync(`${folder}/${slot}/tree`, bytes);
    Deno.writeFileSync(`${folder}/${slot}/data`, new Uint8Array(512));
    return { slot, tree: new LayerTree(bytes) };
  });
  const { ms, value } = await timed(async () => {
    const shown = trees.map(({ slot, tree }) =>
      system.add({
        ...{ slot, spanCount: tree.spans, hasXattrs: tree.hasXattrs },
        ensure: () => Promise.reject(new Error("nothing is read here")),
        copy: () => false,
      }, tree)
    );
    for (const { shown: ready } of shown) await ready;
    return shown.map(({ directory }) => directory);
  });
  return { directories: value, ms };
}

async function measure(directory: string, name: string): Promise<number> {
  const client = new URL("fuse_client.py", import.meta.url).pathname;
  const text = await run("python3", [client, directory, "1", name]);
  return JSON.parse(text)[name];
}

/** Bytes of a file in the page cache. */
async function cached(path: string): Promise<number> {
  return Number(await run("fincore", ["-b", "-n", "-o", "RES", path]));
}

/** What the page cache holds of a shared file, MiB, when two images have read it. */
async function sharing(
  system: LayerFileSystem,
  folder: string,
): Promise<{ shared: number; merged: number }> {
  const home = `${folder}/layers/${SHARED_SLOT}`;
  Deno.mkdirSync(home, { recursive: true });
  const entries = [tarEntry("file", { type: "reg", size: SHARED_BYTES })];
  const bytes = compileTree({
    entries,
    spanStarts: [0],
    dataSize: SHARED_BYTES,
  });
  Deno.writeFileSync(`${home}/tree`, bytes);
  Deno.writeFileSync(`${home}/data`, new Uint8Array(SHARED_BYTES).fill(1));
  const tree = new LayerTree(bytes);
  const { directory, shown, presence } = system.add({
    ...{ slot: SHARED_SLOT, spanCount: tree.spans, hasXattrs: tree.hasXattrs },
    ensure: () => Promise.resolve(),
    copy: () => false,
  }, tree);
  presence.fill(1);
  await shown;
  const other = `${folder}/other`;
  Deno.mkdirSync(other);
  await using helper = new MountHelper(mountHelperArguments());
  const { failure } = await helper.mount({
    source: `${home}/erofs`,
    target: other,
    type: "erofs",
    flags: MS.RDONLY,
    data: `device=${folder}/fs/n/b/${SHARED_SLOT}`,
  });
  if (failure !== null) throw new Error(failure);
  try {
    const files = [`${directory}/file`, `${other}/file`];
    const read = (path: string) => run("sh", ["-c", `cat ${path} > /dev/null`]);
    const held = async () => {
      const [one, two] = await Promise.all(files.map(cached));
      return (one! + two!) / 2 ** 20;
    };
    await run("sh", ["-c", "sync; echo 1 > /proc/sys/vm/drop_caches"]);
    await read(files[0]!);
    await read(files[0]!); // by the other image
    const shared = await held();
    await read(files[1]!); // by its own mount
    return { shared, merged: await held() };
  } finally {
    await run("umount", [other]);
  }
}

printMachine();
const rounds = Number(values.rounds);
const folder = Deno.makeTempDirSync({ prefix: "soci-deno-bench-" });
await using system = await LayerFileSystem.start({
  layersDirectory: `${folder}/layers`,
  mountDirectory: `${folder}/fs`,
  mountHelper: mountHelperArguments(),
  face: "erofs",
  onFallback: (_, reason) => {
    throw new Error(`no EROFS face: ${reason}`);
  },
});
const layers = await show(
  system,
  `${folder}/layers`,
  Array.from(
    { length: LAYERS },
    (_, layer) => ({ slot: layer + 1, entries: entriesOf(layer) }),
  ),
);
const merged = await show(system, `${folder}/layers`, [
  { slot: MERGED_SLOT, entries: entriesOf() },
]);
const figures = new Map<string, number[]>();
const overlays: OverlayMount[] = [];
for (const [i, { directories }] of [layers, merged].entries()) {
  Deno.mkdirSync(`${folder}/o${i}`);
  overlays.push(
    await OverlayMount.mount({
      directories,
      target: `${folder}/o${i}`,
      own: `${folder}/own${i}`,
      fill: null,
      root: {
        ...{ mode: 0o755, uid: 0, gid: 0, mtimeSeconds: 0, mtimeNanos: 0 },
        xattrs: new Map(),
      },
      access: "root",
    }),
  );
}
try {
  for (let round = 0; round < rounds; round++) {
    for (const name of MEASURES) {
      for (const [i, way] of WAYS.entries()) {
        await run("sh", ["-c", "sync; echo 3 > /proc/sys/vm/drop_caches"]);
        for (const state of STATES) {
          const key = `${name} ${state} ${way}`;
          const figure = await measure(`${folder}/o${i}`, name);
          figures.set(key, [...figures.get(key) ?? [], figure]);
        }
      }
    }
  }
} finally {
  for (const overlay of overlays) overlay[Symbol.dispose]();
}
const figure = (name: string, state: string, way: string) =>
  median(figures.get(`${name} ${state} ${way}`)!);
const groups = MEASURES.flatMap((name) =>
  STATES.map((state) => ({ name, state }))
);
printTable(
  `Entries a second through overlayfs, median of ${rounds} rounds in turns`,
  ["", ...WAYS, "merged / not"],
  groups.map(({ name, state }) => {
    const [apart, one] = WAYS.map((way) => figure(name, state, way));
    return [
      `${name}, ${state}`,
      apart!.toFixed(0),
      one!.toFixed(0),
      (one! / apart!).toFixed(2),
    ];
  }),
);
console.log(
  `shown in ${layers.ms.toFixed(0)} ms, merged in ${
    merged.ms.toFixed(0)
  } ms, image and mount`,
);
const memory = await sharing(system, folder);
console.log(
  `of a file of ${SHARED_BYTES / 2 ** 20} MiB that two images share the page ` +
    `cache holds ${memory.shared} MiB, merged ${memory.merged} MiB`,
);
const saved = saveResults("merged", {
  rounds,
  layers: LAYERS,
  memory,
  figures: Object.fromEntries(figures),
  shownMs: { layers: layers.ms, merged: merged.ms },
});
await Deno.writeTextFile(
  saved.replace(/json$/, "svg"),
  chart({
    title: "One merged image, against one image a layer",
    unit: "times the rate of one image a layer",
    groups: groups.map(({ name, state }) => `${name}, ${state}`),
    series: [{
      name: "merged",
      values: groups.map(({ name, state }) =>
        figure(name, state, WAYS[1]) / figure(name, state, WAYS[0])
      ),
    }],
    line: 1,
  }),
);
console.log(`\nsaved: ${saved} and a chart beside it`);
await system[Symbol.asyncDispose]();
Deno.removeSync(folder, { recursive: true });
Deno.exit(0); // a Worker blocked in its read would hold the process
