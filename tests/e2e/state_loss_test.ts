/**
 * State that is lost or damaged while no daemon runs: it is told, and a container that reads all the while never gets
 * a wrong byte, whatever is pulled afterwards. The cells of the table in `docs/restarts.md`.
 */
import assert from "node:assert/strict";
import {
  incompressible,
  layerBlob,
  makeImage,
  pushImage,
  TarBuilder,
} from "../support/images/mod.ts";
import { startRegistry, type TestRegistry } from "../support/registry/mod.ts";
import {
  checkedDuring,
  hostWithImage,
  nothingWrongDuring,
  readsRight,
} from "./checked_host.ts";
import { buildIndex, type LazyHost, sociDeno } from "./host.ts";

type Damage = (path: string) => void;

const lost: Damage = (path) => Deno.removeSync(path);
const truncated: Damage = (path) =>
  Deno.truncateSync(path, Math.floor(Deno.statSync(path).size / 2));
const flipped: Damage = (path) => {
  const bytes = Deno.readFileSync(path);
  for (let at = 66; at < bytes.length; at += 97) bytes[at]! ^= 0x15;
  Deno.writeFileSync(path, bytes);
};

/** A pipe is in its place: whoever opens it to read waits. */
const piped: Damage = (path) => {
  Deno.removeSync(path);
  new Deno.Command("mkfifo", { args: [path] }).outputSync();
};

/** Whether each damage is told: a loss, a cut and a flip, where no others are named. */
type Told = readonly boolean[];

interface File {
  readonly path: string;
  /** Damaged in the same way with it. */
  readonly and?: string;
  readonly told: Told;
  /** All three when not said. */
  readonly damages?: readonly Damage[];
  /** How the daemon ends: its databases are in one file after a stop, and in their logs after a kill. */
  readonly ends?: "killed" | "stopped";
  /** When it is looked at; when the daemon starts, if not said. */
  readonly seen?: "when it is read";
}

const ALWAYS: Told = [true, true, true];
const NEVER: Told = [false, false, false];

const FILES_OF_ROOT: readonly File[] = [
  { path: "slots.db", told: ALWAYS, ends: "stopped" },
  { path: "slots.db-wal", told: ALWAYS },
  { path: "slots.db-shm", told: NEVER },
  { path: "slot-mark", told: ALWAYS },
  { path: "snapshotter/metadata-mark", told: ALWAYS },
  { path: "snapshotter/metadata.db-shm", told: NEVER },
  {
    path: "lock",
    told: [false, false, true, false],
    damages: [lost, truncated, piped, flipped],
  },
  { path: "reserve", told: NEVER },
  { path: "erofs-tested", told: NEVER },
  {
    path: "slots.db",
    and: "slot-mark",
    told: ALWAYS,
    damages: [flipped, truncated],
    ends: "stopped",
  },
];
const FILES_OF_LAYERS: readonly File[] = [
  { path: "layers/*/slot", told: [false, true, true] },
  { path: "layers/*/spans", told: [false, true, true] },
  {
    path: "layers/*/data",
    told: [false, false, true],
    seen: "when it is read",
  },
  { path: "layers/*/ztoc", told: ALWAYS },
  { path: "layers/*/tree", told: NEVER },
  { path: "layers/*/headers", told: NEVER },
  { path: "layers/*/diff-id", told: [false, true, true] },
];

function pathsOf(host: LazyHost, pattern: string): string[] {
  const [folder = "", file] = pattern.split("/*/");
  if (file === undefined) return [`${host.root}/${pattern}`];
  return [...Deno.readDirSync(`${host.root}/${folder}`)]
    .map(({ name }) => `${host.root}/${folder}/${name}/${file}`);
}

const FULL_ROUND = Deno.env.get("SOCI_DENO_STATE_CELLS") === "all";
/** How long containers read while the state is damaged and the daemon starts again. */
const READ_SECONDS = FULL_ROUND ? 5 : 2;

/** Cells of one file: one, another for each file that follows; all in a full round, `deno task state`. */
function cells(
  damages: readonly Damage[],
  file: number,
): ReadonlyArray<readonly [number, Damage]> {
  const all = [...damages.entries()];
  return FULL_ROUND ? all : all.filter(([at]) => at === file % all.length);
}

/** In a short round every third of the root's files, which take the same ways, and every second of a layer's. */
function filesNow(files: readonly File[]): readonly File[] {
  const step = files === FILES_OF_ROOT ? 3 : 2;
  return FULL_ROUND ? files : files.filter((_, at) => at % step === 0);
}

const ALL_DAMAGES = [lost, truncated, flipped];

/** The highest slot that a folder has. */
const highestSlot = ({ root }: LazyHost) =>
  Math.max(
    ...[...Deno.readDirSync(`${root}/layers`)].map((f) => Number(f.name)),
  );

const dropCaches = () => Deno.writeTextFile("/proc/sys/vm/drop_caches", "1");

/** What the log says of damage since it was that long. */
function damagesSince(host: LazyHost, length: number): string[] {
  const log = Deno.readTextFileSync(`${host.folder}/daemon.log`).slice(length);
  return log.split("\n")
    .filter((line) => line.includes("state on disk was lost or damaged"))
    .map((line) => String(JSON.parse(line).path));
}

/** Another image of that many, none of whose layers any other has. */
async function pushOther(registry: TestRegistry, n: number): Promise<string> {
  const tar = new TarBuilder().dir("checked").dir("checked/small-1")
    .file("number", String(n)); // after some dozens the others are of bytes that were there
  for (let i = 0; i < 30; i++) {
    tar.file(`checked/small-1/file-${i}`, incompressible(5000, 1000 * n + i));
  }
  const name = `other-${n}:1`;
  await pushImage(registry.host, name, makeImage({ layers: [layerBlob(tar)] }));
  const image = `${registry.host}/${name}`;
  await buildIndex("--min-layer-size", "0", image);
  return image;
}

const originals = new Map<string, Uint8Array<ArrayBuffer>>();

async function endsAnd(
  host: LazyHost,
  { path, and, ends = "killed" }: File,
  damage: Damage,
): Promise<number> {
  await (ends === "killed" ? host.killDaemon() : host.stopDaemon());
  const both = and === undefined ? [path] : [path, and];
  for (const one of both.flatMap((path) => pathsOf(host, path))) {
    // What no later start makes again is there for the next damage.
    const before = originals.get(one) ?? Deno.readFileSync(one);
    if (path.endsWith("diff-id")) originals.set(one, before);
    if (originals.has(one)) Deno.writeFileSync(one, before);
    damage(one);
  }
  const { length } = Deno.readTextFileSync(`${host.folder}/daemon.log`);
  await host.startDaemon();
  await dropCaches();
  return length;
}

for (
  const [what, files] of [
    ["of the root", FILES_OF_ROOT],
    ["of layers", FILES_OF_LAYERS],
  ] as const
) {
  Deno.test(`state files ${what}, lost, truncated or flipped: it is told, and a running container and a new one read right bytes`, async (t) => {
    await using registry = startRegistry();
    const { host, image } = await hostWithImage(registry);
    await using _host = host;
    assert.ok(await readsRight(host, image));
    let others = 0;
    for (const [number, file] of filesNow(files).entries()) {
      for (const [at, damage] of cells(file.damages ?? ALL_DAMAGES, number)) {
        const name = [file.path, file.and ?? []].flat().join(" and ");
        await t.step(`${name} ${damage.name}`, async () => {
          // Slots, so that there is something new in logs.
          await host.pull(await pushOther(registry, ++others));
          await checkedDuring({ host, image }, READ_SECONDS, async () => {
            const highest = highestSlot(host);
            const before = await endsAnd(host, file, damage);
            if (file.seen !== undefined) {
              await host.reconnected();
              assert.ok(await readsRight(host, image));
            }
            const told = damagesSince(host, before);
            assert.equal(told.length > 0, file.told[at], told.join(", "));
            await host.reconnected();
            const status = await sociDeno(
              "status",
              "--json",
              "--root",
              host.root,
            );
            const { damages } = JSON.parse(status.stdout);
            assert.deepEqual(
              new Set(damages.map(({ path }: { path: string }) => path)),
              new Set(told),
            );
            await host.pull(await pushOther(registry, ++others));
            assert.ok(highestSlot(host) > highest, "no slot is given again");
          });
          assert.ok(await readsRight(host, image));
        });
      }
    }
  });
}

for (
  const [number, file] of ([
    { path: "snapshotter/metadata.db", ends: "stopped" },
    { path: "snapshotter/metadata.db-wal", ends: "killed" },
  ] as const).entries()
) {
  Deno.test(`${file.path} lost, truncated or flipped: a running container reads no wrong byte, and the command that is told has images run again`, async (t) => {
    await using registry = startRegistry();
    const { host, image } = await hostWithImage(registry);
    await using _host = host;
    let others = 0;
    for (const [, damage] of cells(ALL_DAMAGES, number)) {
      await t.step(damage.name, async () => {
        let command = "";
        await nothingWrongDuring({ host, image }, 4, async () => {
          const before = await endsAnd(host, { ...file, told: ALWAYS }, damage);
          const log = Deno.readTextFileSync(`${host.folder}/daemon.log`)
            .slice(before);
          const path = `${host.root}/snapshotter/metadata.db`;
          const line = log.split("\n").find((line) =>
            line.includes(`"path":"${path}"`) && line.includes(" images rm ")
          );
          assert.ok(line !== undefined, log);
          [, command = ""] = /`ctr -n (.*?)`/.exec(JSON.parse(line).then) ?? [];
          await host.connected();
          await host.pull(await pushOther(registry, ++others));
        });
        await host.containerd.ctr(
          "-n",
          ...command.replace("NAMESPACE", "default").replace("IMAGE", image)
            .split(" "),
        );
        await host.pull(image);
        assert.ok(await readsRight(host, image));
      });
    }
  });
}

Deno.test("the hand-over state lost, truncated or flipped: it is told, mounts are made anew, and a new container reads right bytes", async (t) => {
  await using registry = startRegistry();
  const { host, image } = await hostWithImage(registry);
  await using _host = host;
  for (const [, damage] of cells(ALL_DAMAGES, 2)) {
    await t.step(damage.name, async () => {
      await nothingWrongDuring({ host, image }, 4, async () => {
        const file = { path: "handover.json", told: ALWAYS };
        const before = await endsAnd(host, file, damage);
        const log = Deno.readTextFileSync(`${host.folder}/daemon.log`);
        assert.match(log.slice(before), /mounts cannot be taken over/);
        const status = await sociDeno("status", "--root", host.root);
        assert.match(
          status.stdout,
          /damage: .*handover\.json: .*mounted anew/,
        );
        await host.reconnected();
      });
      assert.ok(await readsRight(host, image));
    });
  }
});
