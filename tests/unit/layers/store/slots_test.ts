import assert from "node:assert/strict";
import { SlotTableStore } from "../../../../lib/layers/store/mod.ts";

const LAYER = `sha256:${"a".repeat(64)}`;
const ZTOC = `sha256:${"b".repeat(64)}`;
const OTHER_ZTOC = `sha256:${"c".repeat(64)}`;

Deno.test("a layer keeps its slot when the state is opened again", () => {
  const path = Deno.makeTempFileSync();
  let slot: number;
  {
    using store = new SlotTableStore(path);
    slot = store.assign(LAYER, ZTOC).slot;
    assert.equal(store.assign(LAYER, ZTOC).slot, slot);
  }
  using reopened = new SlotTableStore(path);
  assert.equal(reopened.assign(LAYER, ZTOC).slot, slot);
  assert.equal(reopened.all().length, 1);
  Deno.removeSync(path);
});

Deno.test("another ztoc for the same layer has another slot", () => {
  using store = new SlotTableStore(":memory:");
  assert.notEqual(
    store.assign(LAYER, ZTOC).slot,
    store.assign(LAYER, OTHER_ZTOC).slot,
  );
});

Deno.test("a slot is never given away again after its layer was removed", () => {
  using store = new SlotTableStore(":memory:");
  const first = store.assign(LAYER, ZTOC).slot;
  store.remove(first);
  assert.deepEqual(store.all(), []);
  assert.ok(store.assign(LAYER, ZTOC).slot > first);
});
