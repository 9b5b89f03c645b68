/**
 * `deno task bench:faces`: one layer shown by FUSE and by EROFS, and the same files on the disk's own
 * file system, in turns. Cold: the kernel has forgotten everything, also the layer's data, which
 * then comes from the disk for all three. Warm: the same once more.
 *
 * `--read-ahead KB` sets the read-ahead of the EROFS mount, to compare; `--measures a,b` and
 * `--rounds N` do less.
 *
 * The server runs in a process of its own: this file, called with `--serve`.
 * @module
 */
import { mountHelperArguments } from "../../cmd/program.ts";
import { LayerFileSystem } from "../../lib/layers/fs/mod.ts";
import { PRESENT } from "../../lib/layers/presence/mod.ts";
import { LayerTree } from "../../lib/layers/tree/mod.ts";
import { listNames } from "../../lib/host/os/mod.ts";
import { parseArgs } from "node:util";
import { chart } from "./chart.ts";
import {
  BIG_BYTES,
  DIRECTORIES,
  FILES_PER_DIRECTORY,
  makeBenchLayer,
  SMALL_BYTES,
} from "./fuse_layer.ts";
import { saveResults } from "./results.ts";
import {
  cacheFolder,
  exists,
  printMachine,
  printTable,
  run,
} from "./support.ts";

/** The one of the layer's slots that is measured. */
const SLOT = 1;

const { values: FLAGS } = parseArgs({
  allowPositionals: true,
  options: {
    "read-ahead": { type: "string" },
    rounds: { type: "string", default: "5" },
    measures: { type: "string" },
    serve: { type: "boolean", default: false },
  },
});
const ROUNDS = Number(FLAGS.rounds);
const MEASURES = {
  stat: "stat/s of 50 000 files, by name",
  find: "entries/s of find -ls",
  sequential: "sequential MB/s, 512 MiB",
  mapped: "mapped, sequential MB/s, 512 MiB",
  scattered: "random 4 KiB reads/s",
} as const;
type Measure = keyof typeof MEASURES;
const STATES = ["cold", "warm"] as const;
type State = typeof STATES[number];
const SHOWN_BY = ["fuse", "erofs", "native"] as const;
type ShownBy = typeof SHOWN_BY[number];

/** The layer's files unpacked, as containerd would have done. */
function unpack(data: string): string {
  const folder = `${cacheFolder()}/native`;
  const done = `${folder}.done`;
  if (exists(done)) return folder;
  Deno.mkdirSync(folder, { recursive: true });
  const small = new Uint8Array(SMALL_BYTES).fill(7);
  for (let d = 0; d < DIRECTORIES; d++) {
    Deno.mkdirSync(`${folder}/d${d}`, { recursive: true });
    for (let f = 0; f < FILES_PER_DIRECTORY; f++) {
      Deno.writeFileSync(`${folder}/d${d}/f${f}`, small);
    }
  }
  using from = Deno.openSync(data);
  using to = Deno.openSync(`${folder}/big`, { create: true, write: true });
  const buffer = new Uint8Array(2 ** 20);
  for (let at = 0; at < BIG_BYTES; at += buffer.length) {
    from.readSync(buffer);
    to.writeSync(buffer);
  }
  to.syncSync();
  Deno.writeTextFileSync(done, "");
  return folder;
}

/** Serves until standard input ends; prints both directories. */
async function serve(
  layers: string,
  mounts: string,
  readAheadKb: number | null,
): Promise<void> {
  await using system = await LayerFileSystem.start({
    layersDirectory: layers,
    mountDirectory: mounts,
    mountHelper: mountHelperArguments(),
    face: "erofs",
    onFallback: (_, reason) => {
      throw new Error(`no EROFS face: ${reason}`);
    },
  });
  const tree = new LayerTree(Deno.readFileSync(`${layers}/${SLOT}/tree`));
  const layer = {
    slot: SLOT,
    spanCount: tree.spans,
    hasXattrs: tree.hasXattrs,
    ensure: () => Promise.reject(new Error("nothing is missing")),
    copy: () => false,
  };
  const { directory, shown, presence } = system.add(layer, tree);
  presence.fill(PRESENT);
  await shown;
  system.spansHere(SLOT, "here");
  if (readAheadKb !== null) {
    const devices = listNames("/sys/class/bdi")
      .filter((name) => name.startsWith("erofs-"));
    for (const device of devices) {
      Deno.writeTextFileSync(
        `/sys/class/bdi/${device}/read_ahead_kb`,
        String(readAheadKb),
      );
    }
  }
  console.log(JSON.stringify([system.directory(layer), directory]));
  for await (const _ of Deno.stdin.readable);
}

async function measure(
  directory: string,
  name: Measure,
  seed: number,
): Promise<number> {
  const figures = JSON.parse(
    await run("python3", [
      new URL("fuse_client.py", import.meta.url).pathname,
      ...[directory, String(seed), name],
    ]),
  );
  return figures[name];
}

async function main(): Promise<void> {
  printMachine();
  const measures = (FLAGS.measures?.split(",") ??
    Object.keys(MEASURES)) as Measure[];
  const layer = makeBenchLayer();
  const native = unpack(`${layer.folder}/${SLOT}/data`);
  const mounts = Deno.makeTempDirSync({ prefix: "soci-deno-bench-" });
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "-A", "--no-check", new URL(import.meta.url).pathname],
      ...["--serve", layer.folder, mounts, ...Deno.args],
    ],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const best = new Map<string, number>();
  try {
    const { value } = await child.stdout.getReader().read();
    const [fuse, erofs] = JSON.parse(new TextDecoder().decode(value));
    const directories: Record<ShownBy, string> = { fuse, erofs, native };
    for (let seed = 0; seed < ROUNDS; seed++) {
      for (const name of measures) {
        for (const shownBy of SHOWN_BY) {
          await run("sh", ["-c", "sync; echo 3 > /proc/sys/vm/drop_caches"]);
          for (const state of STATES) {
            const figure = await measure(directories[shownBy], name, seed);
            const key = `${name} ${state} ${shownBy}`;
            best.set(key, Math.max(best.get(key) ?? 0, figure));
          }
        }
      }
    }
  } finally {
    await child.stdin.close();
    const kill = setTimeout(() => child.kill("SIGKILL"), 10_000);
    await child.status;
    clearTimeout(kill);
    Deno.removeSync(mounts);
  }
  const figure = (name: Measure, state: State, shownBy: ShownBy) =>
    best.get(`${name} ${state} ${shownBy}`) as number;
  // Whatever else runs only makes things slower, so the best round is the truest.
  printTable(
    `Faces of one layer, all of it here: best of ${ROUNDS} rounds in turns`,
    ["measure", "", ...SHOWN_BY, "fuse/native", "erofs/native"],
    measures.flatMap((name) =>
      STATES.map((state) => [
        MEASURES[name],
        state,
        ...SHOWN_BY.map((shownBy) => figure(name, state, shownBy).toFixed(0)),
        ...(["fuse", "erofs"] as const).map((shownBy) =>
          (figure(name, state, shownBy) / figure(name, state, "native"))
            .toFixed(2)
        ),
      ])
    ),
  );
  const groups = measures.flatMap((name) =>
    STATES.map((state) => ({ name, state }))
  );
  const saved = saveResults("faces", {
    rounds: ROUNDS,
    best: Object.fromEntries(best),
  });
  await Deno.writeTextFile(
    saved.replace(/json$/, "svg"),
    chart({
      title: "A layer's faces, all of it here",
      unit: "times ext4's rate",
      groups: groups.map(({ name, state }) => `${MEASURES[name]}, ${state}`),
      series: (["fuse", "erofs"] as const).map((shownBy) => ({
        name: shownBy,
        values: groups.map(({ name, state }) =>
          figure(name, state, shownBy) / figure(name, state, "native")
        ),
      })),
      line: 1,
    }),
  );
  console.log(`\nsaved: ${saved} and a chart beside it`);
}

if (Deno.args[0] === "--serve") {
  const [, layers, mounts] = Deno.args;
  await serve(
    layers as string,
    mounts as string,
    FLAGS["read-ahead"] === undefined ? null : Number(FLAGS["read-ahead"]),
  );
  Deno.exit(0); // a Worker blocked in its read would hold the process
} else await main();
