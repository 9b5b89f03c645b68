import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { SHARED, SlotTableStore } from "../../../../lib/layers/store/mod.ts";

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

Deno.test("the table of an older release keeps its slots, and none is given away again", () => {
  const path = Deno.makeTempFileSync();
  {
    const database = new DatabaseSync(path);
    database.exec(`
      CREATE TABLE slots (
        slot INTEGER PRIMARY KEY AUTOINCREMENT,
        layer_digest TEXT NOT NULL,
        ztoc_digest TEXT NOT NULL,
        UNIQUE (layer_digest, ztoc_digest)
      ) STRICT;
      CREATE TABLE condemned (
        layer_digest TEXT NOT NULL, ztoc_digest TEXT NOT NULL, reason TEXT NOT NULL,
        PRIMARY KEY (layer_digest, ztoc_digest)
      ) STRICT;
      INSERT INTO slots VALUES (7, '${LAYER.layerDigest}', '${LAYER.ztocDigest}'), (9, 'gone', 'gone');
      DELETE FROM slots WHERE slot = 9;
      INSERT INTO condemned VALUES ('${LAYER.layerDigest}', 'z', 'it lies');
      PRAGMA user_version = 1;
    `);
    database.close();
  }
  using store = new SlotTableStore(path);
  assert.equal(store.assign(LAYER).slot, 7);
  assert.equal(store.assign(BY_OTHER_ZTOC).slot, 10);
  assert.equal(
    store.condemned({ ...LAYER, ztocDigest: "z" }, "any"),
    "it lies",
  );
  Deno.removeSync(path);
});

Deno.test("what one claimant has is shared once it is proven, and its claims end with the slot", () => {
  using store = new SlotTableStore(":memory:");
  const place = { diffId: "tar", domain: "first" };
  const { slot } = store.assign(LAYER, place);
  store.claim(slot, "first", "unproven");
  assert.ok(store.isUnproven(slot));
  store.prove(slot);
  assert.equal(store.claimOf(slot, "first"), "proven");
  assert.equal(store.claimOf(slot, "other"), null);
  assert.equal(store.get(slot)?.domain, SHARED);
  store.remove(slot);
  assert.equal(store.claimOf(slot, "first"), null);
});

Deno.test("an image that lies about a diff ID condemns the ztoc for nobody else", () => {
  using store = new SlotTableStore(":memory:");
  store.condemn(LAYER, "the whole layer is another", "lie");
  assert.notEqual(store.condemned(LAYER, "lie"), null);
  assert.equal(store.condemned(LAYER, "truth"), null);
  store.condemn(LAYER, "a header is another");
  assert.notEqual(store.condemned(LAYER, "truth"), null);
});
