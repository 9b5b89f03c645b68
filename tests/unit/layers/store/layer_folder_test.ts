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
import { noiseLayer } from "../spans/support.ts";

const LAYER = noiseLayer(2);
const DIFF_ID = sha256(LAYER.tar);

Deno.test("that a whole tar was seen to be what it is said to be is remembered, and not believed when a byte of that is another", async () => {
  const root = Deno.makeTempDirSync();
  using slots = new SlotTableStore(`${root}/slots.db`);
  const saver = new LayerSaver(root, slots);
  const bytes = encodeZtoc(LAYER.ztoc);
  const said = { diffId: DIFF_ID, ztocDigest: sha256(bytes) };
  const open = () => {
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
