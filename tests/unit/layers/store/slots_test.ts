import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import {
  type HandedOverSlots,
  openSlotTable,
  SHARED,
  SlotTableStore,
} from "../../../../lib/layers/store/mod.ts";
import { slotRecordBytes } from "../../../../lib/layers/store/slot_files.ts";
import { stateDamages } from "../../../../lib/telemetry/mod.ts";

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

/** A root whose table has given slots to some layers, each with its folder. */
function rootWith(layers: number): { root: string; digests: string[] } {
  const root = Deno.makeTempDirSync({ prefix: "soci-deno-slots-" });
  const digests: string[] = [];
  {
    using slots = open(root);
    for (let i = 0; i < layers; i++) {
      const record = slots.assign(numbered(i));
      digests.push(record.layerDigest);
      const folder = `${root}/layers/${record.slot}`;
      Deno.mkdirSync(folder, { recursive: true });
      Deno.writeFileSync(
        `${folder}/slot`,
        slotRecordBytes(slots.row(record.slot)!),
      );
    }
  }
  return { root, digests };
}

const numbered = (n: number) => ({
  layerDigest: `sha256:${String(n).padStart(64, "0")}`,
  ztocDigest: LAYER.ztocDigest,
});

const open = (root: string, handedOver: HandedOverSlots | null = null) =>
  openSlotTable({ root, layersDirectory: `${root}/layers`, handedOver });

const toldOf = (path: string) =>
  stateDamages().find((damage) => damage.path === path)?.found ?? null;

const garble = (path: string) => {
  const bytes = Deno.readFileSync(path);
  for (let at = 40; at < bytes.length; at += 61) bytes[at]! ^= 0x55;
  Deno.writeFileSync(path, bytes);
};

for (
  const [how, damage] of [
    ["lost", (path: string) => Deno.removeSync(path)],
    ["truncated", (path: string) => Deno.truncateSync(path, 5000)],
    ["emptied", (path: string) => Deno.truncateSync(path, 0)],
    ["garbled", garble],
  ] as const
) {
  Deno.test(`a slot table that is ${how} is told of; layers keep their slots, and no slot is given again`, () => {
    const { root, digests } = rootWith(6);
    {
      using slots = open(root);
      slots.remove(6); // the kernel may know it still
      Deno.removeSync(`${root}/layers/6`, { recursive: true });
    }
    damage(`${root}/slots.db`);
    using slots = open(root);
    assert.notEqual(toldOf(`${root}/slots.db`), null);
    assert.deepEqual(
      slots.all().map(({ slot, layerDigest }) => [slot, layerDigest]),
      digests.slice(0, 5).map((digest, at) => [at + 1, digest]),
    );
    assert.ok(slots.assign(numbered(77)).slot > 6);
  });
}

Deno.test("with the mark lost, too, slots go on far above all that are seen anywhere", () => {
  const { root } = rootWith(3);
  Deno.removeSync(`${root}/slots.db`);
  Deno.removeSync(`${root}/slot-mark`);
  Deno.removeSync(`${root}/layers/3`, { recursive: true });
  using slots = open(root, { generation: "x", highest: 9 });
  assert.ok(slots.assign(numbered(77)).slot > 9 + 1000);
});

Deno.test("an older copy of the slot table is not believed about what was given since", () => {
  const { root } = rootWith(2);
  Deno.copyFileSync(`${root}/slots.db`, `${root}/copy`);
  {
    using slots = open(root);
    slots.assign(numbered(50));
  }
  Deno.renameSync(`${root}/copy`, `${root}/slots.db`);
  using slots = open(root);
  assert.match(toldOf(`${root}/slots.db`) ?? "", /last entries are lost/);
  assert.equal(slots.assign(numbered(77)).slot, 4);
});

Deno.test("a row with a changed digest is put right by its layer's folder", () => {
  const { root, digests } = rootWith(2);
  {
    const database = new DatabaseSync(`${root}/slots.db`);
    database.exec(
      "UPDATE slots SET layer_digest = replace(layer_digest, '1', '7')",
    );
    database.close();
  }
  using slots = open(root);
  assert.deepEqual(slots.all().map((row) => row.layerDigest), digests);
  assert.match(
    toldOf(`${root}/slots.db`) ?? "",
    /entries of it were changed/,
  );
});

for (const how of ["lost", "truncated", "flipped"] as const) {
  Deno.test(`a slot mark that is ${how} is told of and written again`, () => {
    const { root } = rootWith(2);
    const path = `${root}/slot-mark`;
    const before = Deno.readFileSync(path);
    if (how === "lost") Deno.removeSync(path);
    else if (how === "truncated") Deno.truncateSync(path, 20);
    else Deno.writeFileSync(path, before.with(40, before[40]! ^ 1));
    using slots = open(root);
    assert.notEqual(toldOf(path), null);
    assert.deepEqual(Deno.readFileSync(path), before);
    assert.equal(slots.assign(numbered(9)).slot, 3);
  });
}

Deno.test("the hand-over state of another table's mounts is told of", () => {
  const { root } = rootWith(2);
  using slots = open(root, { generation: "of another table", highest: 40 });
  assert.match(toldOf(`${root}/slots.db`) ?? "", /another one/);
  assert.ok(slots.assign(numbered(9)).slot > 40);
});

Deno.test("opening a slot table that is whole writes nothing and tells nothing", () => {
  const { root } = rootWith(2);
  const found = () =>
    ["slots.db", "slot-mark"].map((name) => {
      const { mtime, size } = Deno.statSync(`${root}/${name}`);
      return [name, mtime?.getTime(), size];
    });
  const before = found();
  {
    using _slots = open(root);
    const wal = Deno.statSync(`${root}/slots.db-wal`);
    assert.equal(wal.size, 0);
  }
  assert.deepEqual(found(), before);
  assert.equal(toldOf(`${root}/slots.db`), null);
});

Deno.test("layers that differ by their packs have slots of their own, and a pack that lied is told to images with that layer and ztoc alone", () => {
  using store = new SlotTableStore(":memory:");
  const place = { diffId: "tar", domain: "image" };
  const common = store.assign(LAYER, place);
  const packed = store.assign(LAYER, { ...place, pack: "order" });
  assert.notEqual(packed.slot, common.slot);
  assert.equal(
    store.assign(LAYER, { ...place, pack: "order" }).slot,
    packed.slot,
  );
  assert.equal(store.get(packed.slot)?.pack, "order");
  assert.equal(store.get(common.slot)?.pack, "");
  store.condemnPack("order", LAYER, "it lied");
  assert.equal(store.condemnedPack("order", [BY_OTHER_ZTOC, LAYER]), "it lied");
  assert.equal(store.condemnedPack("order", [BY_OTHER_ZTOC]), null);
  assert.equal(store.condemnedPack("other", [LAYER]), null);
});

Deno.test("pipes and folders in the place of slot-mark and of a folder's files hold up no start, and no slot is given again", () => {
  const { root } = rootWith(3);
  const pipe = (path: string) => {
    Deno.removeSync(path);
    new Deno.Command("mkfifo", { args: [path] }).outputSync();
  };
  pipe(`${root}/layers/1/slot`);
  Deno.removeSync(`${root}/layers/2/slot`);
  Deno.mkdirSync(`${root}/layers/2/slot`);
  pipe(`${root}/layers/3/slot`);
  using slots = open(root);
  assert.ok(slots.assign(numbered(9)).slot > 3);
  for (const slot of [1, 2, 3]) {
    assert.equal(toldOf(`${root}/layers/${slot}/slot`), "it is no file");
  }
  Deno.removeSync(root, { recursive: true });
});
