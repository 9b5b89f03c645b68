import assert from "node:assert/strict";
import { crash } from "./crash.ts";

Deno.test("killed 25 times under load, the daemon loses nothing, leaks nothing and serves no wrong byte", async () => {
  const { violations, crashes, acknowledged, spansCompared, readers } =
    await crash(25);
  assert.deepEqual(violations, []);
  assert.equal(crashes, 25);
  assert.ok(acknowledged > 5, `${acknowledged} changes`);
  assert.ok(spansCompared > 100, `${spansCompared} spans`);
  for (const { operations } of readers) assert.ok(operations > 100);
});
