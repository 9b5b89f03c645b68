import assert from "node:assert/strict";
import { WasteWatch } from "../../../../lib/images/replay/waste.ts";
import { sha256 } from "../../../../lib/formats/oci/mod.ts";

const OF_IMAGE = {
  image: "registry.example/a:1",
  digest: sha256(new Uint8Array([7])),
};
const MIB = 2 ** 20;

function watched(arrivedBytes: number, readBytes: number) {
  const use = { arrivedBytes, readBytes, lateReads: 0 };
  const replay = {
    ...OF_IMAGE,
    hintedBytes: 0,
    layers: [{
      pack: { use, lied: new AbortController().signal },
      reader: { unreadAheadBytes: 0 },
    }],
  } as unknown as Parameters<WasteWatch["watch"]>[0];
  return { use, replay };
}

Deno.test("a pack that is mostly not read is not used again; one that nobody began to read is not judged", () => {
  using waste = new WasteWatch(0.5);
  const { use, replay } = watched(10 * MIB, 0);
  waste.watch(replay);
  for (let i = 0; i < 10; i++) waste.look();
  assert.equal(waste.isWasteful(OF_IMAGE), false);
  use.readBytes = 4 * MIB;
  for (let i = 0; i < 3; i++) waste.look();
  assert.equal(waste.isWasteful(OF_IMAGE), false, "the start goes on");
  waste.look();
  assert.ok(waste.isWasteful(OF_IMAGE));
});

Deno.test("a pack that is read, or a small one, is used again", () => {
  using waste = new WasteWatch(0.5);
  waste.watch(watched(10 * MIB, 6 * MIB).replay);
  waste.watch(watched(MIB / 2, 1).replay);
  for (let i = 0; i < 10; i++) waste.look();
  assert.equal(waste.isWasteful(OF_IMAGE), false);
});

Deno.test("an order without a pack whose spans are mostly not read is not used again", () => {
  using waste = new WasteWatch(0.5);
  const { replay } = watched(0, 0);
  const [layer] = replay.layers;
  const hinted = {
    ...{ ...replay, hintedBytes: 10 * MIB },
    layers: [{ ...layer!, reader: { unreadAheadBytes: 10 * MIB } }],
  };
  waste.watch(hinted);
  for (let i = 0; i < 10; i++) waste.look();
  assert.equal(waste.isWasteful(OF_IMAGE), false, "nobody began to read");
  hinted.layers[0]!.reader.unreadAheadBytes = 6 * MIB;
  for (let i = 0; i < 4; i++) waste.look();
  assert.ok(waste.isWasteful(OF_IMAGE));
});

Deno.test("what one image does not read is of use to another that names the same order", () => {
  using waste = new WasteWatch(0.5);
  waste.watch(watched(10 * MIB, 1).replay);
  for (let i = 0; i < 4; i++) waste.look();
  assert.ok(waste.isWasteful(OF_IMAGE));
  const other = { ...OF_IMAGE, image: "registry.example/b:1" };
  assert.equal(waste.isWasteful(other), false);
});
