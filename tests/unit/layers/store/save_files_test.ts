import assert from "node:assert/strict";
import { SharedRounds } from "../../../../lib/host/files/mod.ts";
import { saveFiles } from "../../../../lib/layers/store/layer_files.ts";

Deno.test("what nobody else uses is returned once it is on disk, anything else is left", async () => {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-save-" });
  const [sole, shared] = [1, 2].map((byte) =>
    new Uint8Array(1000).fill(byte)
  ) as [Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>];
  await saveFiles(folder, [
    { name: "sole", bytes: sole, isSole: true },
    { name: "shared", bytes: shared },
  ], { bytes: new SharedRounds(), names: new SharedRounds() });
  assert.ok(sole.buffer.detached);
  assert.equal(shared[999], 2);
  assert.equal((await Deno.readFile(`${folder}/sole`))[999], 1);
  assert.equal((await Deno.readFile(`${folder}/shared`)).length, 1000);
  await Deno.remove(folder, { recursive: true });
});
