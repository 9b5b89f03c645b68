import assert from "node:assert/strict";
import { SlotTableStore } from "../../../../lib/layers/store/mod.ts";
import { LayerSaver } from "../../../../lib/layers/store/saver.ts";

/** A saver over a folder of layers, with the folder of one layer in it. */
function saverOf(root: string) {
  const folder = `${root}/layers/1`;
  Deno.mkdirSync(folder, { recursive: true });
  const slots = new SlotTableStore(`${root}/slots.db`);
  return { folder, slots, saver: new LayerSaver(`${root}/layers`, slots) };
}

Deno.test("a layer that is opened again while its files are being written has them whole, and both openings hear of it", async () => {
  for (const sizeBytes of [1_000, 2_000_000]) {
    const root = Deno.makeTempDirSync();
    const { folder, slots, saver } = saverOf(root);
    using _slots = slots;
    const files = ["tree", "ztoc"].map((name, i) => ({
      name,
      bytes: new Uint8Array(sizeBytes).fill(i + 1),
    }));
    await Promise.all([
      saver.save(folder, files),
      saver.save(folder, files),
      saver.save(folder, files.slice(1)),
    ]);
    for (const { name, bytes } of files) {
      assert.deepEqual(Deno.readFileSync(`${folder}/${name}`), bytes);
    }
    assert.equal([...Deno.readDirSync(folder)].length, files.length);
    await Deno.remove(root, { recursive: true });
  }
});

Deno.test("files that cannot be written are told of, and do not keep later ones from being written", async () => {
  const root = Deno.makeTempDirSync();
  const { folder, slots, saver } = saverOf(root);
  using _slots = slots;
  const bytes = new Uint8Array(10);
  Deno.mkdirSync(`${folder}/tree`); // no file can take its place
  const failing = saver.save(folder, [{ name: "tree", bytes }]);
  const later = saver.save(folder, [{ name: "ztoc", bytes }]);
  await assert.rejects(failing);
  await later;
  await saver.settled();
  assert.deepEqual(Deno.readFileSync(`${folder}/ztoc`), bytes);
  await Deno.remove(root, { recursive: true });
});

Deno.test("where the folder of all layers cannot be synced that is told, but not before the layer's files are written", async () => {
  const root = Deno.makeTempDirSync();
  const { folder, slots } = saverOf(root);
  using _slots = slots;
  const saver = new LayerSaver(`${root}/gone`, slots);
  const bytes = new Uint8Array(2_000_000);
  await assert.rejects(saver.save(folder, [{ name: "ztoc", bytes }]));
  assert.deepEqual([...Deno.readDirSync(folder)].map(({ name }) => name), [
    "ztoc",
  ]);
  await Deno.remove(root, { recursive: true });
});

Deno.test("what an earlier process left in a folder is synced once before anybody relies on it", async () => {
  const root = Deno.makeTempDirSync();
  const { folder, slots } = saverOf(root);
  using _slots = slots;
  Deno.writeFileSync(`${folder}/ztoc`, new Uint8Array(10)); // it was killed then
  const saver = new LayerSaver(`${root}/later`, slots);
  await assert.rejects(saver.save(folder, []), /later/);
  Deno.mkdirSync(`${root}/later`);
  await saver.save(folder, []);
  Deno.removeSync(`${root}/later`);
  await saver.save(folder, []); // nothing is new
  await Deno.remove(root, { recursive: true });
});
