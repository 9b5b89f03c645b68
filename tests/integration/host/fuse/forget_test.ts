import assert from "node:assert/strict";
import { Layer, oneFile, SPAN_BYTES } from "../../layers/faces/layer.ts";
import { dropCaches, LOOSE } from "./support.ts";

Deno.test({
  name: "a node that the kernel forgot is found again under the same number",
  ...LOOSE,
  async fn() {
    const { entries, data } = oneFile(SPAN_BYTES);
    await using layer = await Layer.serve("fuse", entries, data);
    const path = `${layer.directory}/file`;
    const before = await Deno.lstat(path);
    for (let round = 0; round < 3; round++) {
      await dropCaches(layer.directory); // FORGET and BATCH_FORGET
      const after = await Deno.lstat(path);
      assert.equal(after.ino, before.ino);
      assert.equal(after.size, before.size);
      assert.deepEqual(
        await Deno.readFile(path),
        data.slice(512, 512 + SPAN_BYTES),
      );
    }
  },
});
