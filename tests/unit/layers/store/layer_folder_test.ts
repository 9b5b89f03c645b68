import assert from "node:assert/strict";
import { sha256 } from "../../../../lib/formats/oci/mod.ts";
import { encodeZtoc } from "../../../../lib/formats/ztoc/mod.ts";
import {
  type BegunFolder,
  LayerFolder,
  LayerSaver,
  makeParts,
  SlotTableStore,
} from "../../../../lib/layers/store/mod.ts";
import { folderRecords } from "../../../../lib/layers/store/slot_files.ts";
import { stateDamages } from "../../../../lib/telemetry/mod.ts";
import { noiseLayer } from "../spans/support.ts";

const LAYER = noiseLayer(2);
const DIFF_ID = sha256(LAYER.tar);

/** A root with one layer's folder that can be opened again and again. */
function folderIn(root: string, slots: SlotTableStore) {
  const saver = new LayerSaver(root, slots);
  const bytes = encodeZtoc(LAYER.ztoc);
  return (data?: string) => {
    const said = { diffId: DIFF_ID, ztocDigest: sha256(bytes), data };
    const path = `${root}/1`;
    let begun: BegunFolder;
    const steps = makeParts(
      {
        path,
        ztoc: { kind: "bytes", bytes },
        headers: "trusted",
        trees: "current",
      },
      (files) => begun = LayerFolder.begin(path, files, said, saver),
    );
    for (;;) {
      const { done, value } = steps.next();
      if (done) return LayerFolder.open(path, value, begun!);
    }
  };
}

Deno.test("that a whole tar was seen to be what it is said to be is remembered, and not believed when a byte of that is another", async () => {
  const root = Deno.makeTempDirSync();
  using slots = new SlotTableStore(`${root}/slots.db`);
  const open = folderIn(root, slots);
  {
    using folder = open();
    assert.equal(folder.isChecked, false);
    folder.setChecked();
    assert.equal(folder.isChecked, true);
    await folder.saved;
  }
  {
    using folder = open();
    assert.equal(folder.isChecked, true);
    await folder.saved;
  }
  for (const name of ["checked", "checked-sum"]) {
    const path = `${root}/1/${name}`;
    const before = Deno.readTextFileSync(path);
    Deno.writeTextFileSync(path, before.replace(/.$/, "!"));
    {
      using folder = open();
      assert.equal(folder.isChecked, false, name);
      await folder.saved;
    }
    Deno.writeTextFileSync(path, before);
  }
  Deno.removeSync(root, { recursive: true });
});

Deno.test("of a file that was proven when it came its mark says what it is, and no other mark does; those of older releases are believed", async () => {
  const root = Deno.makeTempDirSync();
  using slots = new SlotTableStore(`${root}/slots.db`);
  const open = folderIn(root, slots);
  const opened = async (data?: string) => {
    using folder = open(data);
    const presence = new Uint8Array(folder.spans.count);
    using _map = folder.openMap(presence, "boot", "owner");
    await folder.saved;
    return { whole: folder.staysWhole, proven: folder.isChecked };
  };
  const data = `${root}/data`;
  Deno.writeFileSync(data, LAYER.tar);
  assert.deepEqual(await opened(data), { whole: true, proven: true });
  assert.deepEqual(await opened(), { whole: true, proven: true });
  const mark = `${root}/1/whole`;
  const said = Deno.readTextFileSync(mark);
  for (const other of ["", said.slice(1), said.replace(/.$/, "!")]) {
    Deno.writeTextFileSync(mark, other);
    assert.deepEqual(await opened(), { whole: true, proven: false }, other);
  }
  {
    using folder = open();
    folder.setChecked(); // as older releases did
    await folder.saved;
  }
  Deno.writeTextFileSync(mark, "");
  assert.deepEqual(await opened(), { whole: true, proven: true });
  Deno.removeSync(root, { recursive: true });
});

Deno.test("a new layer whose machine lost power has files that are empty: they are made again, and nothing is told", async () => {
  const root = Deno.makeTempDirSync();
  using slots = new SlotTableStore(`${root}/slots.db`);
  slots.assign({ layerDigest: sha256(LAYER.tar), ztocDigest: DIFF_ID });
  const open = folderIn(root, slots);
  const names = ["tree", "diff-id", "slot"];
  const contents = () =>
    names.map((name) => Deno.readTextFileSync(`${root}/1/${name}`));
  {
    using folder = open();
    await folder.saved;
  }
  const before = contents();
  const told = stateDamages().length;
  for (const name of names) Deno.truncateSync(`${root}/1/${name}`);
  assert.deepEqual(folderRecords(root).damaged, []);
  {
    using folder = open();
    assert.equal(folder.diffId, DIFF_ID);
    await folder.saved;
  }
  assert.deepEqual(contents(), before);
  assert.equal(stateDamages().length, told);
  Deno.removeSync(root, { recursive: true });
});
