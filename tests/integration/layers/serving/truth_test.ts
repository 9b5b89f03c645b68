/** What a killed process may leave below its root, and what the next one makes of it. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { TarBuilder } from "../../../support/images/mod.ts";
import { incompressible } from "../../../support/images/random.ts";
import {
  indexed,
  MemorySource,
  type TestLayer,
} from "../../../unit/layers/spans/support.ts";
import { openStore, readWhole, ztocOf } from "../spans/support.ts";

const content = (seed: number) => incompressible(100_000, seed);
const layer = (seed: number): TestLayer =>
  indexed(new TarBuilder().file("file", content(seed)), 64 * 1024);

const NEEDED = layer(1);
const KEPT = layer(2);
const NOBODYS = layer(3);
const LAYERS = [NEEDED, KEPT, NOBODYS];

/** A root as a killed process leaves it that served all layers, the second one no more; slots 1 to 3. */
async function leftover(): Promise<string> {
  const folder = Deno.makeTempDirSync({ prefix: "soci-deno-truth-" });
  await using opened = await openStore({ folder, face: "fuse" });
  const { store } = opened;
  for (const each of LAYERS) {
    const source = new MemorySource(each.blob);
    const served = await store.add(each.digest, ztocOf(each), source, null);
    await served.shown;
    await served.fill();
  }
  store.release(2, { discard: false });
  return folder;
}

const names = (path: string) =>
  [...Deno.readDirSync(path)].map(({ name }) => name).sort();

Deno.test("after a kill what snapshots name is served, what is marked is kept, all else is removed", async () => {
  const folder = await leftover();
  Deno.mkdirSync(`${folder}/root/layers/99/half-made`, { recursive: true });
  Deno.mkdirSync(`${folder}/root/ingest`);
  Deno.writeTextFileSync(`${folder}/root/ingest/layer-x`, "half");
  {
    await using opened = await openStore({ folder, face: "fuse" });
    const { store } = opened;
    const source = new MemorySource(NEEDED.blob);
    const served = await store.restore(NEEDED.digest, () => source, {
      slot: 1,
    });
    assert.ok(served !== null);
    await served.shown;
    store.sweep([served.directory]);
    assert.deepEqual(names(`${folder}/root/layers`), ["1", "2"]);
    assert.deepEqual(names(`${folder}/root/ingest`), []);
    const whole = await readWhole(`${served.directory}/file`);
    assert.deepEqual(whole, { bytes: content(1) });
    assert.equal(source.fetches.length, 0);
    const again = await store.add(
      NOBODYS.digest,
      ztocOf(NOBODYS),
      new MemorySource(NOBODYS.blob),
      null,
    );
    assert.ok(again.slot > 3, "the kernel may still know slot 3");
    await again.shown;
  }
  Deno.removeSync(folder, { recursive: true });
});

Deno.test("what snapshots name stays, also when it cannot be served now", async () => {
  const folder = await leftover();
  Deno.truncateSync(`${folder}/root/layers/1/ztoc`, 10);
  {
    await using opened = await openStore({ folder, face: "fuse" });
    const { store } = opened;
    const source = () => new MemorySource(NEEDED.blob);
    assert.equal(await store.restore(NEEDED.digest, source, { slot: 1 }), null);
    store.sweep([`${folder}/fs/n/1`]);
    assert.deepEqual(names(`${folder}/root/layers`), ["1", "2"]);
    // By the same ztoc it has the same slot, and what was cached is used.
    const memory = source();
    const served = await store.add(NEEDED.digest, ztocOf(NEEDED), memory, null);
    assert.equal(served.slot, 1);
    await served.shown;
    const whole = await readWhole(`${served.directory}/file`);
    assert.deepEqual(whole, { bytes: content(1) });
    assert.equal(memory.fetches.length, 0);
  }
  Deno.removeSync(folder, { recursive: true });
});

Deno.test("a layer that a snapshot names is no longer kept for nobody, whatever its folder says", async () => {
  const folder = await leftover();
  {
    await using opened = await openStore({ folder, face: "fuse" });
    const { store } = opened;
    assert.equal(store.cacheFigures().idleLayers, 1);
    const source = () => new MemorySource(KEPT.blob);
    const served = await store.restore(KEPT.digest, source, { slot: 2 });
    assert.ok(served !== null);
    await served.shown;
    assert.equal(store.cacheFigures().idleLayers, 0);
    assert.ok(!names(`${folder}/root/layers/2`).includes("unused"));
  }
  Deno.removeSync(folder, { recursive: true });
});

Deno.test("the slot table says by which ztoc a layer is served: a folder with another one is not used", async () => {
  const folder = await leftover();
  const database = new DatabaseSync(`${folder}/root/slots.db`);
  // As a release left it that gave rows no checksums and folders no record.
  database.exec(
    "DROP TABLE row_sums; DROP TABLE generation; UPDATE slots SET ztoc_digest = 'sha256:another' WHERE slot = 1",
  );
  database.close();
  Deno.removeSync(`${folder}/root/layers/1/slot`);
  {
    await using opened = await openStore({ folder, face: "fuse" });
    const source = () => new MemorySource(NEEDED.blob);
    const { store } = opened;
    assert.equal(await store.restore(NEEDED.digest, source, { slot: 1 }), null);
  }
  Deno.removeSync(folder, { recursive: true });
});
