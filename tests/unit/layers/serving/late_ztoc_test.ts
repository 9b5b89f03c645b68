/** The rest of a ztoc that the disk does not take. */
import assert from "node:assert/strict";
import { FileError } from "../../../../lib/host/files/mod.ts";
import { LateZtoc, ZtocRoomError } from "../../../../lib/layers/serving/mod.ts";

Deno.test("a ztoc that the disk did not take, although it had room, is not asked for again at once", async () => {
  let asked = 0;
  const late = new LateZtoc(() => {
    asked++;
    return Promise.resolve(new Uint8Array(10));
  }, { layerDigest: "layer", look: () => {} });
  late.begin({
    onWhole: () =>
      Promise.reject(new FileError("write", "/disk/ztoc", new Error("quota"))),
    onFalse: () => {},
  });
  assert.equal(late.state, "on the way");
  for (let tries = 0; tries < 5; tries++) {
    await assert.rejects(late.whole(), ZtocRoomError);
  }
  assert.equal(asked, 1);
  assert.equal(late.state, "no room");
});

Deno.test("a ztoc that its registry does not give is asked for by whoever comes next", async () => {
  let asked = 0;
  const late = new LateZtoc(() => {
    asked++;
    return Promise.reject(new Error("no line"));
  }, { layerDigest: "layer", look: () => {} });
  late.begin({ onWhole: () => Promise.resolve(), onFalse: () => {} });
  for (let tries = 0; tries < 3; tries++) {
    await assert.rejects(late.whole(), new Error("no line"));
  }
  assert.equal(asked, 3);
  assert.equal(late.state, "on the way");
});
