/** Made-up layers are taken whole while nobody waits: nothing of them is to be seen, and nobody waits for them. */
import assert from "node:assert/strict";
import { SmallDisk } from "../../support/host/mod.ts";
import { ZtocBuilder } from "../../../lib/formats/ztoc/mod.ts";
import { rehearsalBy } from "../../../lib/images/lazy/rehearsal.ts";
import { LineSpeeds } from "../../../lib/images/lazy/line_speeds.ts";
import { FAST_LIMITS } from "../../../lib/images/lazy/whole_limits.ts";
import { WholeLayerTaker } from "../../../lib/images/lazy/whole_layer.ts";
import { WholeProgress } from "../../../lib/images/lazy/whole_progress.ts";
import { madeUpLayer } from "../../../lib/images/warmup/made_up_layer.ts";
import { warmUpAll } from "../../../lib/images/warmup/mod.ts";
import { warmUpWhole } from "../../../lib/images/warmup/warm_up_whole.ts";
import {
  parseReference,
  RegistryClient,
} from "../../../lib/remote/registry/mod.ts";
import { KeptBlobs } from "../../../lib/layers/store/mod.ts";
import { startRegistry } from "../../support/registry/mod.ts";

const NEVER = new AbortController().signal;

function takerIn(
  folder: string,
  client = new RegistryClient({
    fetch: () => Promise.reject(new Error("a registry is asked")),
  }),
) {
  const progress = new WholeProgress();
  const taker = new WholeLayerTaker({
    ...{ folder, progress, limits: FAST_LIMITS, decompressors: {} },
    kept: new KeptBlobs(folder),
    speeds: new LineSpeeds(),
    client,
  });
  return { taker, progress };
}

const rehearsal = (taker: WholeLayerTaker) => (client: RegistryClient) =>
  rehearsalBy(taker.rehearsal(client));

const names = (folder: string) =>
  [...Deno.readDirSync(folder)].map(({ name }) => name);

Deno.test("the made-up layer is one, with entries of all kinds that images have", async () => {
  const { descriptor, diffId, bytes } = await madeUpLayer(async () => {});
  assert(bytes.length > FAST_LIMITS.chunkBytes); // it comes by several requests
  const builder = new ZtocBuilder({ compression: "gzip", spanSize: 2 ** 22 });
  builder.push(bytes);
  const made = builder.finish();
  assert.equal(made.digest, descriptor.digest);
  assert.equal(made.diffId, diffId);
  const { entries } = made.ztoc;
  const types = new Set(entries.map(({ type }) => type));
  assert.deepEqual([...types].sort(), ["dir", "hardlink", "reg", "symlink"]);
  assert(entries.some(({ xattrs }) => xattrs.length > 0));
  assert(entries.some(({ name }) => name.length > 100));
  assert(made.ztoc.spanDigests.length > 2);
});

Deno.test("made-up layers are taken by the Workers of real ones, and nobody sees anything of them", async () => {
  const parent = await Deno.makeTempDir({ prefix: "soci-deno-warm-up-" });
  const folder = `${parent}/ingest`; // which is not there yet
  const { progress, taker } = makeSeen(folder);
  using _workers = taker;
  const ztoc = await warmUpWhole(
    { rehearsal: rehearsal(taker), workers: 2 },
    NEVER,
  );
  assert(ztoc !== null);
  assert.deepEqual(names(folder), []);
  assert.equal(progress.begun, 0);
  await Deno.remove(parent, { recursive: true });
});

Deno.test("a real pull ends it: the Workers are free for its layers, and no file stays", async () => {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-warm-up-" });
  const { taker } = takerIn(folder);
  using _workers = taker;
  const pull = new AbortController();
  const seen = new Set<string>();
  const warming = warmUpWhole({
    workers: 2,
    rehearsal(client) {
      const take = rehearsal(taker)(client);
      return (...of) => {
        const watch = setInterval(() => {
          for (const name of names(folder)) seen.add(name);
          if (seen.size > 0) pull.abort(new Error("a real pull came"));
        }, 0);
        return take(...of).finally(() => clearInterval(watch));
      };
    },
  }, pull.signal);
  await assert.rejects(warming, /a real pull came/);
  assert(seen.size > 0); // it was in the middle of a layer
  assert.deepEqual(names(folder), []);
  const again = await warmUpWhole(
    { rehearsal: rehearsal(taker), workers: 2 },
    NEVER,
  );
  assert(again !== null);
  await Deno.remove(folder, { recursive: true });
});

/** Threads of this process that are Workers. */
function workers(): number {
  const tasks = "/proc/self/task";
  return names(tasks).filter((id) =>
    Deno.readTextFileSync(`${tasks}/${id}/comm`).startsWith("worker")
  ).length;
}

Deno.test("layers of a real pull that comes in the middle of it wait for its Workers, and have no others started beside", async () => {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-warm-up-" });
  const { descriptor, diffId, bytes } = await madeUpLayer(async () => {});
  await using registry = startRegistry();
  registry.addBlob("a/b", bytes);
  const { host } = registry;
  const before = workers();
  const pull = new AbortController();
  using client = new RegistryClient({});
  const { taker } = takerIn(folder, client);
  using _workers = taker;
  const warming = warmUpWhole(
    { rehearsal: rehearsal(taker), workers: 2 },
    pull.signal,
  ).catch(String);
  while (names(folder).length < 2) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  pull.abort(new Error("a real pull came"));
  await Promise.all([0, 1].map(async () => {
    using _taken = await taker.take({
      ...{ reference: parseReference(`${host}/a/b:1`), layer: descriptor },
      ...{ diffId, requester: { image: "a", host }, known: null },
      ...{ spanSizeBytes: 2 ** 22, windows: "all", isKept: false },
      signal: NEVER,
    });
  }));
  assert.match(`${await warming}`, /a real pull came/);
  assert.equal(workers() - before, 2);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("on a full disk, or without a folder, it does without, and removes nothing of others", async () => {
  await using disk = await SmallDisk.make("tmpfs", 12);
  Deno.mkdirSync(disk.root, { recursive: true });
  const left = `${disk.root}/blob-${"0".repeat(64)}`;
  Deno.writeFileSync(left, new Uint8Array(8 * 2 ** 20)); // without it there were room
  for (const folder of [disk.root, "/dev/null/no-folder"]) {
    const { taker } = takerIn(folder);
    using _workers = taker;
    const whole = { rehearsal: rehearsal(taker), workers: 2 };
    await assert.rejects(warmUpWhole(whole, NEVER));
    const scratch = await Deno.makeTempDir({ prefix: "soci-deno-warm-up-" });
    let asked = 0;
    await warmUpAll({
      ...{ address: null, scratch: `${scratch}/none`, signal: NEVER, whole },
      wanted: () => ++asked > 0,
    });
    assert(asked > 50); // what needs no disk was done
    await Deno.remove(scratch, { recursive: true });
  }
  assert.deepEqual(names(disk.root), [left.slice(disk.root.length + 1)]);
});

/** A taker whose progress counts what was shown. */
function makeSeen(folder: string) {
  const { taker, progress } = takerIn(folder);
  const seen = { begun: 0 };
  const begin = progress.begin.bind(progress);
  progress.begin = (...of) => {
    seen.begun++;
    return begin(...of);
  };
  return { taker, progress: seen };
}
