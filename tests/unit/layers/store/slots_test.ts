import assert from "node:assert/strict";
import { SlotTableStore } from "../../../../lib/layers/store/mod.ts";

const LAYER = {
  layerDigest: `sha256:${"a".repeat(64)}`,
  ztocDigest: `sha256:${"b".repeat(64)}`,
};
const BY_OTHER_ZTOC = { ...LAYER, ztocDigest: `sha256:${"c".repeat(64)}` };

Deno.test("a layer keeps its slot when the state is opened again", () => {
  const path = Deno.makeTempFileSync();
  let slot: number;
  {
    using store = new SlotTableStore(path);
    slot = store.assign(LAYER).slot;
    assert.equal(store.assign(LAYER).slot, slot);
  }
  using reopened = new SlotTableStore(path);
  assert.equal(reopened.assign(LAYER).slot, slot);
  assert.equal(reopened.all().length, 1);
  Deno.removeSync(path);
});

Deno.test("another ztoc for the same layer has another slot", () => {
  using store = new SlotTableStore(":memory:");
  assert.notEqual(
    store.assign(LAYER).slot,
    store.assign(BY_OTHER_ZTOC).slot,
  );
});

Deno.test("a slot is never given away again after its layer was removed", () => {
  using store = new SlotTableStore(":memory:");
  const first = store.assign(LAYER).slot;
  store.remove(first);
  assert.deepEqual(store.all(), []);
  assert.ok(store.assign(LAYER).slot > first);
});
