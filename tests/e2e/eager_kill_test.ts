import assert from "node:assert/strict";
import { erofsRefusal } from "../support/erofs/mod.ts";
import { testUnless } from "../support/test_unless.ts";
import { eagerKills, LAST_PHASE } from "./eager_kills.ts";

testUnless(await erofsRefusal(), {
  name:
    "killed at random moments of a pull that takes an image whole, the daemon shows nothing wrong and leaves nothing",
  async fn() {
    const { violations, reader, histogram } = await eagerKills(2);
    console.log(`    ${JSON.stringify(histogram)}`);
    assert.ok(histogram[LAST_PHASE]! >= 1, "the second one aims at the end");
    assert.deepEqual(violations, []);
    assert.deepEqual([...reader.wrong, ...reader.errors], []);
    assert.ok(reader.operations > 100, `${reader.operations} operations`);
  },
});
